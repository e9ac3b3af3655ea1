"""Parameters of the query: none is passed over that an operation does not have, and no dry run is a real one."""

from __future__ import annotations

import pytest

from ccgateway.surfaces.rest.operations import API
from surfaces.rest.asking import RestGateway, client_of, written

RELEASED = "/cc-backend/1.5/api"
OPERATIONS = [(method, one.path) for one in API.endpoints for method in one.operations]
DELETIONS = [
    ("/jobs/delete_job/1001", None),
    ("/jobs/delete_job/", {"jobId": 1, "cluster": "alex", "startTime": 5}),
    ("/jobs/delete_job_before/99", None),
    ("/tags/", [{"type": "a", "name": "b", "scope": "global"}]),
]


def filled(path: str) -> str:
    """``path`` with something in place of its parameters."""
    return path.replace("{id}", "1001").replace("{ts}", "99")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("unknown", ["dryRun=true", "sites=aurora", "Policy=STRICT", "=1", "metrics=mem_bw"])
async def test_an_operation_refuses_a_parameter_that_it_does_not_have(method: str, path: str, unknown: str) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        answer = await client.request(method, f"/api{filled(path)}?{unknown}", content=b"[]")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith(f"invalid query parameter: {unknown.partition('=')[0]}.")
    assert not gateway.commands.told and not gateway.questions


@pytest.mark.parametrize(("path", "body"), DELETIONS)
@pytest.mark.parametrize("asked", ["dry-run", "dry-run=", "dry_run", "dry-run=True", "dry-run=1", "dry-run=false&dry_run=true"])
async def test_a_dry_run_is_one_however_it_is_asked_for(path: str, body: object, asked: str) -> None:
    _, order, _ = await written("DELETE", f"/api{path}?{asked}", body)
    assert order is not None and order[3] == {"dry_run": True}


@pytest.mark.parametrize(("path", "body"), DELETIONS)
@pytest.mark.parametrize("asked", ["", "?dry-run=false", "?dry_run=0"])
async def test_who_asks_for_none_deletes(path: str, body: object, asked: str) -> None:
    _, order, _ = await written("DELETE", f"/api{path}{asked}", body)
    assert order is not None and order[3] == {"dry_run": False}


@pytest.mark.parametrize(("path", "body"), DELETIONS)
@pytest.mark.parametrize("asked", ["dryRun=true", "dryrun", "DRY-RUN=true"])
@pytest.mark.parametrize("base", ["/api", RELEASED])
async def test_another_spelling_of_it_deletes_nothing(base: str, path: str, body: object, asked: str) -> None:
    answer, order, _ = await written("DELETE", f"{base}{path}?{asked}", body)
    assert answer.status_code == 400 and order is None and asked.partition("=")[0] in answer.text


@pytest.mark.parametrize(("path", "body"), DELETIONS)
async def test_as_releases_have_it_no_dry_run_is_passed_over(path: str, body: object) -> None:
    answer, order, _ = await written("DELETE", f"{RELEASED}{path}?dry-run=true", body)
    assert answer.status_code == 400 and order is None
    _, order, _ = await written("DELETE", f"{RELEASED}{path}?_=1", body)
    assert order is not None  # 1.5.4 passes over all else


@pytest.mark.parametrize("base", ["/api", RELEASED])
async def test_tagged_jobs_are_not_deleted_by_an_empty_word(base: str) -> None:
    answer, order, _ = await written("DELETE", f"{base}/jobs/delete_job_before/99?omit-tagged=", None)
    assert answer.status_code == 400 and order is None
