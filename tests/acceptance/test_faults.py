"""Whatever one site does, the other sites' jobs come in time, and its report says what happened."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from typing import Any

import pytest

from acceptance.conftest import Front, gateway, site
from ccgateway.simulator import SimulatedSite

LIST = """query($first: Int) { jobs(first: $first) {
    items { id site user state } complete sites { site status code message retryable } } }"""
SITE_LIMIT = 1.5

Fault = Callable[[SimulatedSite], object]
FAULTS: dict[str, tuple[Fault, set[str]]] = {
    "hangs": (lambda one: one.faults.hang(), {"TIMEOUT"}),
    "hangs in mid-answer": (lambda one: one.faults.hang_mid_body(), {"TIMEOUT"}),
    "drips": (lambda one: one.faults.drip(), {"TIMEOUT"}),
    "is slow": (lambda one: one.faults.slow(30), {"TIMEOUT"}),
    "resets": (lambda one: one.faults.reset(), {"CONNECTION_LOST"}),
    "resets in mid-answer": (lambda one: one.faults.reset(mid_body=True), {"CONNECTION_LOST"}),
    "closes": (lambda one: one.faults.close(), {"CONNECTION_LOST"}),
    "truncates": (lambda one: one.faults.truncated(), {"CONNECTION_LOST", "BAD_ANSWER"}),
    "truncates chunks": (lambda one: one.faults.truncated(chunked=True), {"CONNECTION_LOST", "BAD_ANSWER"}),
    "sends HTML": (lambda one: one.faults.html(), {"BAD_ANSWER"}),
    "sends nothing": (lambda one: one.faults.empty(), {"BAD_ANSWER"}),
    "sends an error inside 200": (lambda one: one.faults.error_object("kaputt"), {"SITE_ERROR"}),
    "sends garbage": (lambda one: one.faults.garbage(), {"BAD_ANSWER"}),
    "answers 401": (lambda one: one.faults.status(401), {"SITE_UNAUTHORIZED"}),
    "answers 403 as HTML": (lambda one: one.faults.status(403, body="html"), {"SITE_UNAUTHORIZED"}),
    "answers 429": (lambda one: one.faults.status(429, retry_after=60), {"SITE_BUSY"}),
    "answers 500": (lambda one: one.faults.status(500), {"SITE_ERROR"}),
    "answers 500 and nothing": (lambda one: one.faults.status(500, body="empty"), {"SITE_ERROR"}),
    "answers 502 as HTML": (lambda one: one.faults.status(502, body="html"), {"SITE_BUSY"}),
    "announces 2 GB": (lambda one: one.faults.huge(), {"ANSWER_TOO_LARGE"}),
    "sends without end": (lambda one: one.faults.huge(None), {"ANSWER_TOO_LARGE", "TIMEOUT"}),
    "redirects": (lambda one: one.faults.redirect("http://127.0.0.1:9"), {"BAD_ANSWER"}),
}


async def settle(front: Front, broken: SimulatedSite) -> None:
    """Waits until nothing of a request is left: neither tasks nor connections with half an answer on them."""
    for _ in range(100):
        if not [task for task in asyncio.all_tasks() if task.get_name().startswith(("ask ", "read ahead"))]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("tasks are left behind")


@pytest.mark.parametrize("name", FAULTS)
async def test_a_broken_site_becomes_a_report_and_the_others_answer_in_time(name: str) -> None:
    start, codes = FAULTS[name]
    good, broken, fine = site("aurora", "1.5"), site("borealis", "1.4"), site("cygnus", "1.3")
    # only who waits for an answer that never comes needs a short limit; all others get time on a busy machine
    limit = SITE_LIMIT if "TIMEOUT" in codes else 20
    of = {"borealis": {"timeout": limit}}
    async with gateway(good, broken, fine, of=of, answer_bytes=8 << 20, limits={"patience": 0}) as front:
        assert (await front.ask(LIST, first=60))["data"]["jobs"]["complete"]
        start(broken)
        begun, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = await front.ask(LIST, first=60)
        took = time.monotonic() - begun
        assert took < SITE_LIMIT + 1.5
        jobs = answer["data"]["jobs"]
        assert {job["site"] for job in jobs["items"]} == {"aurora", "cygnus"}
        assert len(jobs["items"]) == 60
        assert not jobs["complete"]
        report = next(one for one in jobs["sites"] if one["site"] == "borealis")
        assert report["status"] == "FAILED"
        assert report["code"] in codes, report
        assert [e["extensions"]["code"] for e in answer["errors"]] == [report["code"]]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        assert grown < 100_000, f"{grown} KiB more memory"
        await settle(front, broken)
        broken.faults.clear()
        again = await asked_again(front)
        assert again["data"]["jobs"]["complete"], again["data"]["jobs"]["sites"]


async def asked_again(front: Front) -> Any:
    """The first complete answer, which comes once the site has been looked at again: within 5 s."""
    for _ in range(80):
        answer = await front.ask(LIST, first=60)
        if answer["data"] is not None and answer["data"]["jobs"]["complete"]:
            break
        await asyncio.sleep(0.1)
    return answer


@pytest.mark.parametrize("query", ["{ clusters { name site } }", "{ users { username site } }"])
async def test_other_questions_do_without_the_broken_site_too(query: str) -> None:
    good, broken = site("aurora", "1.5"), site("borealis", "1.4")
    async with gateway(good, broken, of={"borealis": {"timeout": SITE_LIMIT}}) as front:
        broken.faults.hang()
        answer = await front.ask(query)
        [items] = answer["data"].values()
        assert {item["site"] for item in items} == {"aurora"}
        assert [e["extensions"] | {"retryable": True} for e in answer["errors"]] == [
            {"code": "TIMEOUT", "site": "borealis", "retryable": True}
        ]


async def test_all_sites_failing_is_an_error_and_no_empty_list() -> None:
    one, two = site("aurora", "1.5"), site("borealis", "1.4")
    async with gateway(one, two, timeout=SITE_LIMIT) as front:
        one.faults.close()
        two.faults.status(401)
        answer = await front.ask(LIST, first=5)
        assert answer["data"] is None
        codes = {e["extensions"]["code"] for e in answer["errors"]}
        assert codes == {"ALL_SITES_FAILED", "CONNECTION_LOST", "SITE_UNAUTHORIZED"}


async def test_strict_gives_no_partial_answer() -> None:
    one, two = site("aurora", "1.5"), site("borealis", "1.4")
    async with gateway(one, two, timeout=SITE_LIMIT) as front:
        two.faults.status(500)
        answer = await front.ask("{ jobs(first: 3, policy: STRICT) { items { id } } }")
        assert answer["data"] is None
        assert answer["errors"][0]["extensions"]["code"] == "INCOMPLETE"


async def test_a_slow_site_delays_a_partial_answer_by_the_patience_and_no_more() -> None:
    quick, slow = site("aurora", "1.5"), site("borealis", "1.4")
    async with gateway(quick, slow, timeout=10, limits={"patience": 0.3}) as front:
        await front.ask(LIST, first=5)
        slow.faults.slow(5)
        begun = time.monotonic()
        answer = await front.ask(LIST, first=5)
        assert time.monotonic() - begun < 2
        assert {job["site"] for job in answer["data"]["jobs"]["items"]} == {"aurora"}


async def test_a_site_may_be_down_at_start_up_and_come_later_and_as_another_release() -> None:
    steady, late = site("aurora", "1.5"), site("borealis", "1.4")
    async with gateway(steady, late, timeout=20) as front:
        address = front.addresses["borealis"]
        await address.stop()
        down = await front.ask(LIST, first=5)
        assert [one["code"] for one in down["data"]["jobs"]["sites"]] == [None, "UNREACHABLE"]
        await address.start()
        up = await asked_again(front)
        assert up["data"]["jobs"]["complete"]


async def test_no_connection_is_left_when_the_gateway_has_stopped() -> None:
    one, two = site("aurora", "1.5"), site("borealis", "1.4")
    async with gateway(one, two, timeout=SITE_LIMIT) as front:
        await asyncio.gather(*(front.ask(LIST, first=20) for _ in range(20)))
        assert one.open_connections
        two.faults.hang()
        await front.ask(LIST, first=20)
    assert (one.open_connections, two.open_connections) == (0, 0)


async def test_at_most_the_configured_number_of_requests_reaches_a_site_at_once() -> None:
    one = site("aurora", "1.5")
    async with gateway(one, concurrency=3, timeout=20) as front:
        await front.ask(LIST, first=1)
        one.faults.slow(0.02)
        await asyncio.gather(*(front.ask(LIST, first=5) for _ in range(30)))
        assert 1 < one.max_concurrent <= 3


async def test_a_walk_over_http_gives_every_job_once_and_in_order() -> None:
    sites = [
        site("aurora", "1.5"),
        site("borealis", "1.4"),
        site("cygnus", "1.3"),
        site("draco", "1.2"),
        site("eridanus", "howto"),
    ]
    query = """query($after: String) { jobs(first: 150, after: $after) {
        items { id key { site cluster jobId startTime } } pageInfo { endCursor hasNextPage } complete } }"""
    async with gateway(*sites) as front:
        keys, after = [], None
        while True:
            page = (await front.ask(query, after=after))["data"]["jobs"]
            assert page["complete"]
            keys += [
                (job["key"]["startTime"], job["key"]["site"], job["key"]["cluster"], job["key"]["jobId"]) for job in page["items"]
            ]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
    expected = {(one.name, job["cluster"], job["jobId"]) for one in sites for job in one.all_jobs()}
    assert len(keys) == len(expected)
    assert {key[1:] for key in keys} == expected
    by_time = sorted(keys, key=lambda key: key[1:])
    by_time.sort(key=lambda key: key[0], reverse=True)
    assert keys == by_time
