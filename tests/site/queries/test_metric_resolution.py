"""Samples come in the steps that are asked for where a site's own GraphQL takes them, and it is said where they do not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, SiteError
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from ccgateway.settings import LimitSettings
from ccgateway.simulator import SimulatedSite
from ccgateway.site.exchange import CallContext, SiteAnswer
from support.caching import Clock, cache_of, settled
from support.simulated import Simulated, credential_of
from support.walking import CALLER, gateway_over

NOW = 1_760_000_000
#: minutes that the job ran: samples of each of its series
LENGTH = 1500
#: the sites are configured to thin out to this
COARSE = 240


def site(release: str = "1.5", state: str = "completed", *, resampling: int = COARSE) -> SimulatedSite:
    jobs: list[dict[str, Any]] = [
        {
            "id": number, "jobId": 1000 + number, "user": user, "project": "p", "cluster": "alex", "subCluster": "main",
            "numNodes": 2, "startTime": NOW - 60 * LENGTH - 1000, "duration": 60 * LENGTH, "jobState": state,
            "resources": [{"hostname": "n1"}, {"hostname": "n2"}], "monitoringStatus": 3,
        }
        for number, user in enumerate(("alice", "bob"), 1)
    ]  # fmt: skip
    return SimulatedSite("s1", release, jobs, clock=lambda: float(NOW), resampling=resampling)


def ask(there: Simulated, *resolutions: int | None, user: str = "demo", job: int = 1, **settings: Any) -> list[JobMetricsAnswer]:
    """The same metrics of a job in each of these steps, of one gateway."""

    async def run() -> list[JobMetricsAnswer]:
        async with gateway_over([there.instance(user=user, **settings)]) as gateway:
            return [
                await gateway.job_metrics(
                    f"s1:{job}", MetricsWanted.of(["cpu_load", "mem_bw"], ["node"], steps), CALLER, budget=budget()
                )
                for steps in resolutions
            ]

    return asyncio.run(run())


def budget() -> MetricsBudget:
    return MetricsBudget(LimitSettings())  # type: ignore[call-arg]


def steps(answer: JobMetricsAnswer) -> set[int]:
    return {piece.metric.timestep for piece in answer.pieces}


def shown(answer: JobMetricsAnswer) -> list[object]:
    return [msgspec.json.decode(msgspec.json.encode(piece)) for piece in answer.pieces]


def notes(answer: JobMetricsAnswer) -> list[str]:
    return [note for note in answer.report.notes if note.startswith("resolution")]


@pytest.mark.parametrize("release", ["1.4", "1.5"])
def test_finer_steps_than_the_site_is_configured_to_are_had_by_asking(release: str) -> None:
    there = Simulated(site(release))
    unasked, native, finer, coarser = ask(there, None, 0, 120, 480)
    assert [steps(one) for one in (unasked, native, finer, coarser)] == [{COARSE}, {60}, {120}, {480}]
    assert not any(map(notes, (unasked, native, finer, coarser)))
    assert there.queries == 3, "who asks for no steps is answered by REST"
    everything = ask(Simulated(site(release, resampling=0)), None)[0]
    assert shown(native) == shown(everything)
    lengths = [len(msgspec.json.decode(one.pieces[0].metric.series[0].data)) for one in (native, finer, coarser)]  # type: ignore[index]
    assert lengths == [LENGTH, LENGTH // 2, LENGTH // 8 + 1]


@pytest.mark.parametrize("release", ["1.2", "1.3"])
def test_a_release_that_thins_out_nothing_gives_all_and_says_so_where_that_is_not_what_was_asked_for(release: str) -> None:
    there = Simulated(site(release))
    finest, native, coarser = ask(there, 0, 60, 240)
    assert steps(finest) == steps(native) == steps(coarser) == {60}
    assert (notes(finest), notes(native)) == ([], []) and len(notes(coarser)) == 1
    assert there.queries == 0


def test_steps_that_a_site_cannot_make_of_its_own_are_those_that_it_chooses() -> None:
    there = Simulated(site())
    odd, still = ask(there, 100, 120)
    assert (steps(odd), steps(still)) == ({COARSE}, {120})
    assert notes(odd) == ["resolution: chosen by the site, as its REST interface takes none; timestep tells what it is."]


def test_short_series_are_not_thinned_out_and_that_is_said() -> None:
    there = Simulated(site(state="running"))
    (answer,) = ask(there, 240)
    assert steps(answer) == {60} and "thins out long series only" in notes(answer)[0]


@pytest.mark.parametrize(("user", "settings"), [("robot", {}), ("demo", {"reads": "rest"})])
def test_what_only_rest_may_answer_is_asked_by_rest(user: str, settings: dict[str, Any]) -> None:
    there = Simulated(site())
    (answer,) = ask(there, 60, user=user, **settings)
    assert there.queries == 0 and len(notes(answer)) == (0 if steps(answer) == {60} else 1)


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
@pytest.mark.parametrize("job", [2, 99])
def test_anothers_job_and_none_are_the_same_in_whatever_steps(release: str, job: int) -> None:
    there = Simulated(site(release))
    said = set()
    for resolution in (None, 0, 120):
        with pytest.raises(GatewayError) as failed:
            ask(there, resolution, user="alice", job=job)
        said.add((failed.value.code, failed.value.message))
    assert len(said) == 1 and failed.value.code is Code.NOT_FOUND


FAULTS: dict[str, Any] = {
    "refuses the token": lambda _: SiteAnswer(401, "application/json", b'{"error":"no"}'),
    "is a web page": lambda _: SiteAnswer(200, "text/html", b"<!DOCTYPE html><title>log in</title>"),
    "does not know the question": lambda _: SiteAnswer(422, "application/json", b'{"errors":[{"message":"no"}],"data":null}'),
    "is cut off": lambda answer: replace(answer, body=answer.body[: len(answer.body) // 2]),
    "has a million errors": lambda _: SiteAnswer(
        200, "application/json", b'{"data":null,"errors":[' + b",".join([b'{"message":"x"}'] * 1_000_000) + b"]}"
    ),
    "has errors beside data": lambda answer: replace(answer, body=answer.body[:-1] + b',"errors":[{"message":"half of it"}]}'),
    "breaks the connection": lambda _: SiteError(Code.CONNECTION_LOST, "s1", "gone"),
    "does not answer in time": lambda _: SiteError(Code.TIMEOUT, "s1", "late"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_whatever_query_says_there_are_metrics(fault: Any) -> None:
    there = Simulated(site())
    (expected,) = ask(there, None)
    there.disturbs = fault
    first, second = ask(there, 120, 120)
    assert there.queries and shown(first) == shown(second) == shown(expected) and notes(first)


def test_an_answer_that_has_only_errors_proves_nobody() -> None:
    there = Simulated(site())
    there.disturbs = lambda _: SiteAnswer(200, "application/json", b'{"data":null,"errors":[{"message":"who are you?"}]}')

    async def run() -> None:
        instance = there.instance(user="alice")
        credential = credential_of(there.site, "alice")
        context = CallContext(credential, Deadline.after(10), proofs=instance.proofs)
        with pytest.raises(SiteError):
            await instance.metrics(context, JobRef("s1", 2), MetricsWanted.of(None, None, 120))
        assert there.queries == 1 and not instance.proofs.holds(credential)

    asyncio.run(run())


def test_what_came_by_rest_instead_is_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccgateway.site.queries.ways.FAILED_FOR", 0.0)
    there, clock = Simulated(site()), Clock()

    async def run() -> None:
        responses = cache_of(clock)
        async with gateway_over([there.instance()], responses) as gateway:

            async def asked() -> set[int]:
                wanted = MetricsWanted.of(["cpu_load"], ["node"], 120)
                answer = await gateway.job_metrics("s1:1", wanted, CALLER, budget=budget())
                await settled(responses)
                return steps(answer)

            there.disturbs = lambda _: SiteError(Code.TIMEOUT, "s1", "late")
            assert await asked() == {COARSE}
            there.disturbs = lambda answer: answer
            clock.now += responses.settings.running_for + 1
            assert await asked() == {120}
            before = there.queries
            clock.now += responses.settings.running_for + 1
            assert await asked() == {120} and there.queries == before

    asyncio.run(run())


def test_answers_in_each_resolution_come_from_the_cache_as_from_the_site() -> None:
    there = Simulated(site())

    async def run() -> None:
        responses = cache_of(None)
        async with gateway_over([there.instance()], responses) as gateway:

            async def asked() -> list[list[object]]:
                found = []
                for resolution in (None, 0, 60, 120, 480):
                    wanted = MetricsWanted.of(["cpu_load", "mem_bw"], ["node"], resolution)
                    found.append(shown(await gateway.job_metrics("s1:1", wanted, CALLER, budget=budget())))
                    await settled(responses)
                return found

            first, before = await asked(), len(there.requests)
            assert await asked() == first and len(there.requests) == before

    asyncio.run(run())
