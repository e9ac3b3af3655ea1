"""Requests made up from the OpenAPI documents: every answer is one that the document knows, and none is a fault of the gateway.

``CCGATEWAY_FUZZ`` names how many requests each operation gets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from acceptance.howto import NUMBERS, make_sites
from acceptance.running import Front, running
from ccgateway.surfaces.export.operations import export_table
from ccgateway.surfaces.rest.openapi import documented_openapi, released_openapi

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

REQUESTS = int(os.environ.get("CCGATEWAY_FUZZ", "12"))
#: what a site's release cannot do is no fault of the gateway; and some of a caller's mistakes are a 500 at cc-backend
CANNOT = re.compile(r"Release \d.*cannot |(?:adding|removing) tag failed: ")
DOCUMENTS = {"documented": documented_openapi({"/export": export_table()}), "released": released_openapi()}

#: values that lead somewhere, by the name of the key
REAL: dict[str, Any] = {
    "jobId": 5,
    "user": "alice",
    "cluster": "mycluster",
    "subCluster": "main",
    "startTime": 1_700_000_000,
    "numNodes": 1,
    "resources": [{"hostname": "mn001"}],
    "stopTime": 1_900_000_000,
    "type": "review",
    "name": "x",
    "scope": "global",
    "key": "k",
    "value": "v",
}
REAL_IDS = [number * 1000 + site for number in range(1, 60) for site in NUMBERS.values()]
REAL_SITES = (*([name] for name in NUMBERS), list(NUMBERS), ["*"])


def operations() -> Iterator[Any]:
    """Every operation of both documents: first those that read, last those that delete."""
    for face, document in DOCUMENTS.items():
        found = [one.ok() for one in schemathesis.openapi.from_dict(document).get_all_operations()]
        found.sort(key=lambda one: (one.method.upper() != "GET", "delete" in one.path or one.method.upper() == "DELETE"))
        for one in found:
            yield pytest.param(one, id=f"{face} {one.label}")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with running(make_sites(), NUMBERS, tmp_path_factory.mktemp("gateway"), demo=("admin", "api")) as found:
        yield found


def bring_nearer(case: Any, data: st.DataObject) -> None:
    """Puts real values in the place of some that were made up."""
    chance = st.integers(0, 2).map(bool)
    if "id" in (case.path_parameters or {}) and data.draw(chance):
        case.path_parameters["id"] = data.draw(st.sampled_from(REAL_IDS))
    if isinstance(case.query, dict):
        if "site" in case.query and data.draw(chance):
            case.query["site"] = data.draw(st.sampled_from(REAL_SITES))
        if "metric" in case.query and data.draw(chance):
            case.query["metric"] = ["cpu_load", "mem_bw"]
    for part in case.body if isinstance(case.body, list) else [case.body]:
        if isinstance(part, dict) and data.draw(chance):
            part.update({key: REAL[key] for key in part if key in REAL})


@pytest.mark.parametrize("operation", list(operations()))
def test_answers_are_documented_and_never_a_fault(operation: Any, front: Front) -> None:
    @given(case=operation.as_strategy(), data=st.data())
    @settings(
        max_examples=REQUESTS, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    def ask(case: Any, data: st.DataObject) -> None:
        bring_nearer(case, data)
        answer = case.call(base_url=front.url, headers={"Authorization": f"Bearer {front.tokens['demo']}"})
        if answer.status_code >= 500:
            assert answer.status_code in (500, 501) and CANNOT.search(answer.json()["error"]), (answer.status_code, answer.text)
        case.validate_response(answer, checks=[
            schemathesis.specs.openapi.checks.status_code_conformance,
            schemathesis.specs.openapi.checks.content_type_conformance,
            schemathesis.specs.openapi.checks.response_schema_conformance,
        ])  # fmt: skip

    ask()
