"""Statistics where a site is broken, hangs or is easily brought to a standstill: no figure is wrong, and a report says why."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ccgateway.errors import Code, FederationError, GatewayError
from ccgateway.federation.questions import Policy, ReportStatus
from ccgateway.federation.statistics import METRICS, StatisticsQuestion
from ccgateway.jobs.statistics.figures import Figure, GroupBy, Quality
from ccgateway.simulator.clusters import synthetic_cluster
from ccgateway.simulator.release import RELEASES
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from federation.counting import CALLER, REAL, jobs, one, shown_as
from support.figures import FIGURES, Answering, counted, wire_over
from support.walking import gateway_over
from support.written import instance_of

# --- broken sites


def told(value: object, status: int = 200) -> SiteAnswer:
    return SiteAnswer(status, "application/json", msgspec.json.encode(value))


ELEMENT = {figure.value: 1 for figure in Figure} | {"id": "", "name": ""}
HOSTILE = {
    "a web page": SiteAnswer(200, "text/html", b"<html>Forbidden</html>"),
    "a proxy that blocks the path": SiteAnswer(403, "text/html", b"<html>Forbidden</html>"),
    "no such path": SiteAnswer(404, "text/plain", b"404 page not found"),
    "nothing": SiteAnswer(200, "", b""),
    "null": told(None),
    "no data": told({"data": None}),
    "null figures": told({"data": {"t": [ELEMENT | dict.fromkeys((figure.value for figure in Figure), None)], "c": [], "u": []}}),
    "negative figures": told({"data": {"t": [ELEMENT | {"totalJobs": -5}], "c": [ELEMENT], "u": [ELEMENT]}}),
    "fractions": told({"data": {"t": [ELEMENT | {"totalWalltime": 1.5}], "c": [ELEMENT], "u": [ELEMENT]}}),
    "words": told({"data": {"t": [ELEMENT | {"totalJobs": "many"}], "c": [ELEMENT], "u": [ELEMENT]}}),
    "half of it": told({"data": {"t": [ELEMENT]}}),
    "no element": told({"data": {"t": [], "c": [], "u": []}}),
    "two elements": told({"data": {"t": [ELEMENT, ELEMENT], "c": [ELEMENT], "u": [ELEMENT]}}),
    "groups without ids": told({"data": {"t": [ELEMENT], "c": [ELEMENT | {"id": None}], "u": [ELEMENT | {"id": None}]}}),
    "errors": told({"data": None, "errors": [{"message": "MAIN > Panic caused by: x"}]}),
    "errors beside data": told({"data": {"t": [ELEMENT], "c": [ELEMENT], "u": [ELEMENT]}, "errors": [{"message": "x"}]}),
    "a million errors": SiteAnswer(
        200, "application/json", b'{"data":null,"errors":[' + b",".join([b'{"message":"x"}'] * 1_000_000) + b"]}"
    ),
    "an unknown question": told({"errors": [{"message": "Cannot query field"}], "data": None}, 422),
    "too large a number": told({"data": {"t": [ELEMENT | {"totalJobs": 2**70}], "c": [ELEMENT], "u": [ELEMENT]}}),
    "a cost limit": told({"data": None, "errors": [{"message": "operation has complexity 1", "extensions": {}}]}),
}


@pytest.mark.parametrize("release", REAL)
@pytest.mark.parametrize("name", HOSTILE)
async def test_what_a_broken_site_says_of_its_jobs_never_makes_a_figure_wrong(name: str, release: str) -> None:
    """Its jobs are counted one by one instead, and it says so."""
    broken, sound = wire_over("s1", release, jobs()), wire_over("s2", "1.5", jobs(count=5))
    broken.instead = HOSTILE[name]
    async with gateway_over([instance_of(broken, 1, url="http://a"), instance_of(sound, 2, url="http://b")]) as gateway:
        answer = await one(gateway, StatisticsQuestion(figures=FIGURES))
    (item,) = answer.items
    truth = counted([("s1", job) for job in jobs()] + [("s2", job) for job in jobs(count=5)], None)[""]
    for figure in Figure:
        amount = item.group.amount(figure)
        assert amount is not None and amount.low <= truth[figure] <= amount.high
    assert broken.queries
    assert any("one by one" in note for note in answer.reports[0].notes)
    assert answer.reports[1].notes == []


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_broken_site_that_cannot_be_counted_either_is_missing_and_says_so(name: str) -> None:
    broken, sound = wire_over("s1", "1.5", jobs()), wire_over("s2", "1.5", jobs(count=5))
    broken.instead = HOSTILE[name]
    sites = [instance_of(broken, 1, url="http://a"), instance_of(sound, 2, url="http://b")]
    async with gateway_over(sites, scan_budget=6) as gateway:
        answer = await one(gateway, StatisticsQuestion(figures=FIGURES))
        with pytest.raises(FederationError) as strict:
            await one(gateway, StatisticsQuestion(figures=FIGURES, policy=Policy.STRICT))
    assert strict.value.code is Code.INCOMPLETE
    amount = answer.items[0].group.amount(Figure.JOBS)
    assert amount is not None and amount.value == 5
    assert not answer.complete
    assert (answer.reports[0].status, answer.reports[0].code) == (ReportStatus.FAILED, Code.SCAN_BUDGET)
    assert "limits.scan_budget" in (answer.reports[0].message or "")


BINS = [{"bin": n, "count": 1, "max": 50 * n} for n in range(1, 11)]
LYING = {
    "another unit": {"metric": "flops_any", "unit": "TF/s", "stat": "avg", "data": BINS},
    "another statistic": {"metric": "flops_any", "unit": "GF/s", "stat": "max", "data": BINS},
    "other bins": {"metric": "flops_any", "unit": "GF/s", "stat": "avg", "data": BINS[:9]},
    "another peak": {
        "metric": "flops_any",
        "unit": "GF/s",
        "stat": "avg",
        "data": [one | {"max": one["max"] * 2} for one in BINS],
    },
    "another metric": {"metric": "mem_bw", "unit": "GF/s", "stat": "avg", "data": BINS},
    "nothing": {"metric": "flops_any", "unit": "GF/s", "stat": "avg", "data": None},
}


@pytest.mark.parametrize("name", LYING)
async def test_a_histogram_in_other_bins_than_asked_for_is_refused_with_a_reason(name: str) -> None:
    wire = wire_over("s1", "1.5", jobs())
    question = StatisticsQuestion(histograms=frozenset({METRICS}), figures=frozenset({Figure.JOBS}), metrics=("flops_any",))

    def instead(request: SiteRequest, context: CallContext) -> SiteAnswer:
        if b"histMetrics" in (request.body or b""):
            return told({"data": {"m0": [{"totalJobs": 12, "histMetrics": [LYING[name]]}]}})
        return Answering._answer(wire, request, context)

    wire._answer = instead  # type: ignore[method-assign]
    async with gateway_over([instance_of(wire)]) as gateway:
        answer = await one(gateway, question)
    (item,) = answer.items
    assert item.metrics[0].points is None
    refusal = next(one for one in item.exactness if one.figure == "histMetrics.flops_any")
    assert refusal.quality is Quality.REFUSED and "s1" in (refusal.reason or "")


async def test_a_site_that_hangs_is_missing_after_its_time() -> None:
    class Hanging(Answering):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            if request.path == "/query":
                await asyncio.sleep(60)
            return await super().exchange(request, context)

    hanging, sound = Hanging(wire_over("s1", "1.5", jobs()).site), wire_over("s2", "1.5", jobs(count=5))
    sites = [instance_of(hanging, 1, url="http://a", timeout=1), instance_of(sound, 2, url="http://b")]
    async with gateway_over(sites) as gateway:
        answer = await one(gateway, StatisticsQuestion(figures=frozenset({Figure.JOBS})))
    assert (answer.reports[0].status, answer.reports[0].code) == (ReportStatus.FAILED, Code.TIMEOUT)
    amount = answer.items[0].group.amount(Figure.JOBS)
    assert amount is not None and amount.value == 5 and not answer.complete


# --- sites that several questions at once bring to a standstill


class AtOnce(Answering):
    """How many questions for jobs by user are asked of the site at once, and how many in one document."""

    most: int = 0
    asked: int = 0
    hangs: bool = False
    _now: int = 0

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        by_user = (request.body or b"").count(b"groupBy:USER")
        if not by_user:
            return await super().exchange(request, context)
        self.asked += 1
        self._now += by_user
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(3600 if self.hangs else 0.01)
            return await super().exchange(request, context)
        finally:
            self._now -= by_user


def at_once(release: str) -> AtOnce:
    site = wire_over("s1", release, jobs(), clusters=[synthetic_cluster("aurora", RELEASES[release])]).site
    return AtOnce(site)


@pytest.mark.parametrize("release", ["1.2", "1.3"])
async def test_sites_that_several_questions_by_user_bring_to_a_standstill_are_asked_one_after_the_other(release: str) -> None:
    """They hold a connection of their database for each, and take another for every name."""
    wire = at_once(release)
    groups = [None, GroupBy.USER, GroupBy.PROJECT, GroupBy.CLUSTER, GroupBy.SITE]
    questions = [StatisticsQuestion(figures=frozenset({Figure.JOBS, Figure.USERS}), group_by=group) for group in groups]
    async with gateway_over([shown_as(wire, "demo", ("admin", "api"))]) as gateway:
        answers = await asyncio.gather(*(gateway.statistics(questions, CALLER) for _ in range(3)))
    assert not [outcome for outcomes in answers for outcome in outcomes if isinstance(outcome, GatewayError)]
    assert wire.most == 1 and wire.asked > 5


async def test_one_that_was_broken_off_is_followed_by_none_for_a_while() -> None:
    wire = at_once("1.3")
    question = StatisticsQuestion(figures=frozenset({Figure.JOBS, Figure.USERS}))
    async with gateway_over([shown_as(wire, "demo", ("admin", "api"))]) as gateway:
        wire.hangs = True
        left = asyncio.create_task(one(gateway, question))
        while not wire.asked:  # noqa: ASYNC110 - the wire has no event
            await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        wire.hangs = False
        answer = await one(gateway, question)
    assert wire.asked == 1  # the jobs were counted one by one
    assert answer.items[0].group.amounts[Figure.JOBS].value == 12 and "one by one" in str(answer.reports[0].notes)
