"""Every parameter that a list is said to have means something: what the sites are asked, or what is shown, depends on it."""

from __future__ import annotations

from typing import Any

import pytest

from ccgateway.surfaces.rest.endpoints import Parameter
from ccgateway.surfaces.rest.parameters import DOCUMENTED_LIST, RELEASED_LIST
from surfaces.rest.asking import RestGateway, client_of, rest_row

VALUES = {
    "state": "running", "page": "2", "items_per_page": "1", "items-per-page": "1", "start-time": "1000-2000", "site": "aurora",
    "policy": "STRICT", "with_metadata": "true", "with-metadata": "true",
}  # fmt: skip
FACES = {"": DOCUMENTED_LIST, "/cc-backend/1.5": RELEASED_LIST}


async def listed(face: str, query: str) -> tuple[Any, ...]:
    """What the gateway is asked for the list, and what is answered."""
    gateway = RestGateway(rows=[rest_row(1, meta_data={"jobName": "x"}), rest_row(2)])
    async with client_of(gateway) as client:
        answer = await client.get(f"{face}/api/jobs/?{query}")
    assert answer.status_code == 200, answer.text
    return gateway.questions, answer.json()


@pytest.mark.parametrize(
    ("face", "parameter"),
    [(face, one) for face, table in FACES.items() for one in table],
    ids=lambda one: getattr(one, "name", one),
)
async def test_every_parameter_of_a_list_changes_it(face: str, parameter: Parameter) -> None:
    value = VALUES.get(parameter.name, "7" if parameter.schema["type"] == "integer" else "x")
    assert await listed(face, f"{parameter.name}={value}") != await listed(face, "")
