"""Writes by REST on real sockets: several sites answer each for itself, and what nobody knows is said to be unknown."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from acceptance.recorded import serving
from acceptance.test_rest_sites import NUMBERS, RELEASED, front, make_site, settings_of
from ccgateway.simulator import SimulatedSite, serve
from ccgateway.simulator.faults import WriteFault

TAG = {"type": "review", "name": "slow", "scope": "global"}
BASES = pytest.mark.parametrize("base", ["/api", f"{RELEASED}/api"])


def tagged(*names: str) -> list[SimulatedSite]:
    sites = [make_site(name) for name in names]
    for site in sites:
        site.add_tag(some_job(site)["id"], **TAG)
    return sites


def some_job(site: SimulatedSite) -> dict[str, Any]:
    return next(job for job in site.all_jobs() if job["monitoringStatus"] == 3)


def names_at(site: SimulatedSite) -> list[str]:
    return [tag.name for tag in site.truth.tags]


@BASES
async def test_removing_a_tag_everywhere_answers_for_each_site(base: str) -> None:
    sites = tagged("aurora", "borealis", "cygnus")
    async with front(*sites) as (client, running):
        unnamed = await client.request("DELETE", f"{base}/tags/", json=[TAG])
        await running["cygnus"].stop()
        answer = await client.request("DELETE", f"{base}/tags/?site=*", json=[TAG])
        await running["cygnus"].start()
    aurora, borealis, cygnus = sites
    assert unnamed.status_code == 400
    assert answer.status_code == 207
    told = answer.json()["sites"]
    outcomes = told if base.startswith(RELEASED) else {name: of[0]["outcome"] for name, of in told.items()}
    assert outcomes["aurora"] == "DONE" and names_at(aurora) == []
    assert outcomes["borealis"] == "DONE" and names_at(borealis) == []
    assert outcomes["cygnus"] == "FAILED" and names_at(cygnus) == ["slow"]


@BASES
async def test_a_write_of_which_nobody_knows_what_became_is_a_504_that_says_so(base: str) -> None:
    site = make_site("aurora")
    number = some_job(site)["id"] * 1000 + NUMBERS["aurora"]
    async with serve(site) as running:
        settings = settings_of([site], running)
        sections = {"aurora": settings.sites["aurora"].model_copy(update={"timeout": 2.0})}
        async with serving(settings.model_copy(update={"sites": sections})) as client:
            answer = await deleted(client, site, f"{base}/jobs/delete_job/{number}", WriteFault.TIMEOUT_BEFORE)
    assert answer.status_code == 504 and "not known whether this took effect" in answer.json()["error"]
    if base == "/api":
        assert answer.json()["outcome"] == "UNKNOWN"


@BASES
async def test_a_write_whose_answer_was_lost_is_found_out_about(base: str) -> None:
    site = make_site("aurora")
    number = some_job(site)["id"] * 1000 + NUMBERS["aurora"]
    async with front(site) as (client, _):
        failed = await deleted(client, site, f"{base}/jobs/delete_job/{number}", WriteFault.RESET_BEFORE)
        done = await deleted(client, site, f"{base}/jobs/delete_job/{number}", WriteFault.RESET_AFTER)
    assert failed.status_code == 502 and "not known" not in failed.json()["error"]
    assert (done.status_code, done.json()["msg"]) == (200, f"Successfully deleted job {number}")


async def deleted(client: httpx.AsyncClient, site: SimulatedSite, path: str, fault: WriteFault) -> httpx.Response:
    site.faults.clear()
    rule = site.faults.write(fault)
    answer = await client.delete(path, timeout=30)
    assert rule.hits == 1
    return answer
