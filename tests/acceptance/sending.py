"""States of nodes and other bodies as they are sent to both REST faces, and how these tell refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from acceptance.people import Caller
from acceptance.test_rest_sites import RELEASED

__all__ = ["BASES", "sent", "states", "told_again"]

BASES = pytest.mark.parametrize("base", ["/api", f"{RELEASED}/api"])


def states(cluster: str, *hosts: str) -> dict[str, Any]:
    nodes = [
        {
            "hostname": host, "states": ["allocated"], "cpusAllocated": 64, "memoryAllocated": 1 << 40, "gpusAllocated": 0,
            "jobsRunning": 2,
        }
        for host in hosts
    ]  # fmt: skip
    return {"cluster": cluster, "nodes": nodes}


def told_again(status: int, code: str, answer: httpx.Response, base: str) -> bool:
    return answer.status_code == status and (base != "/api" or answer.json()["code"] == code)


async def sent(
    caller: Caller, method: str, path: str, body: Any = None, *, form: Mapping[str, str] | None = None
) -> tuple[int, str]:
    headers = {**({"X-Auth-Token": caller.token} if caller.token else {}), **caller.headers}
    url = caller.url.removesuffix("/graphql") + path
    async with caller.session.request(method, url, json=body, data=form, headers=headers) as answer:
        return answer.status, await answer.text()
