"""The recorded exchanges of cc-backend 1.5.4, asked of a gateway over one site that was set up as the recorded instance was.

A gateway shows its site one token, so there is a gateway for every user that asked, all over the same site. Ids are those of the
gateway: the site's own times 1000, plus its number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from contract.exchanges import Exchange
from contract.test_simulator_replays_recordings import Answer

__all__ = ["FACE", "NUMBER", "ask", "with_ids_of_gateway"]

FACE = "/cc-backend/1.5"
NUMBER = 1

_ID_IN_PATH = re.compile(r"(/(?:jobs|metrics|tag_job|edit_meta|delete_job|stop_job)/)(\d+)(?=$|\?)")
_ID_IN_WORDS = re.compile(r"(db id |\(id |deleted job |dbid: )(\d+)")


def path_of(exchange: Exchange) -> str:
    """The path of the same request to the gateway."""
    return FACE + _ID_IN_PATH.sub(lambda found: f"{found[1]}{_id(found[2])}", exchange.path)


def _id(number: int | str) -> int:
    return int(number) * 1000 + NUMBER


def with_ids_of_gateway(value: Any) -> Any:
    """A recorded body with the gateway's ids of jobs."""
    if isinstance(value, str):
        return _ID_IN_WORDS.sub(lambda found: f"{found[1]}{_id(found[2])}", value)
    if isinstance(value, list):
        return [with_ids_of_gateway(one) for one in value]
    if isinstance(value, dict):
        changed = {key: with_ids_of_gateway(one) for key, one in value.items()}
        if "jobId" in value and "id" in value:
            changed["id"] = _id(value["id"])
        return changed
    return value


async def ask(client: httpx.AsyncClient, exchange: Exchange) -> Answer:
    """What the gateway answers."""
    headers: Mapping[str, str] = exchange.headers
    response = await client.request(exchange.method, path_of(exchange), headers=headers, content=exchange.body)
    try:
        body: object = response.json()
    except json.JSONDecodeError:
        body = response.text
    shown = {name: response.headers[name] for name in ("Allow", "Location") if name in response.headers}
    return Answer(response.status_code, response.headers.get_list("content-type") or None, shown, body)
