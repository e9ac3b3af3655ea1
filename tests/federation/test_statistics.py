"""Statistics over several sites: who is counted for whom, whose figures are believed, budgets, what is asked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from ccgateway.errors import Code, FederationError, GatewayError, RequestError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion, PageRequest, Policy
from ccgateway.federation.statistics import METRICS, StatisticsAnswer, StatisticsQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import IntRange, JobFilter, StringInput
from ccgateway.jobs.statistics.figures import Amount, Figure, GroupBy, Quality
from ccgateway.simulator.clusters import synthetic_cluster
from ccgateway.simulator.release import RELEASES
from ccgateway.site.credentials import Credential
from federation.counting import CALLER, REAL, jobs, one, shown_as
from support.caching import Clock, cache_of
from support.figures import FIGURES, made, wire_over
from support.upstream import ADMIN, Job, Upstream, site_of, user_credential
from support.walking import gateway_over
from support.written import instance_of

HISTOGRAMS = frozenset({"histDuration", "histNumNodes", "histNumCores", "histNumAccs"})


# --- who is counted for whom

ROLES = {
    "admin": ("admin", "api"), "support": ("support", "api"), "manager": ("manager", "api"), "user": ("user", "api"),
    "api": ("api",), "nobody": (),
}  # fmt: skip
QUESTIONS = {
    "totals": StatisticsQuestion(figures=FIGURES),
    "exact": StatisticsQuestion(figures=FIGURES, exact=True),
    "users": StatisticsQuestion(figures=FIGURES, group_by=GroupBy.USER, sort_by=Figure.JOBS),
    "projects": StatisticsQuestion(figures=FIGURES, group_by=GroupBy.PROJECT),
    "clusters": StatisticsQuestion(figures=FIGURES, group_by=GroupBy.CLUSTER),
    "sub-clusters": StatisticsQuestion(figures=FIGURES, group_by=GroupBy.SUBCLUSTER),
    "sites": StatisticsQuestion(figures=FIGURES, group_by=GroupBy.SITE),
    "histograms": StatisticsQuestion(histograms=HISTOGRAMS),
    "metrics": StatisticsQuestion(histograms=frozenset({METRICS}), metrics=("flops_any",)),
    "somebody else": StatisticsQuestion(filters=(JobFilter(user=StringInput(eq="bob")),), figures=FIGURES),
    "by rows": StatisticsQuestion(filters=(JobFilter(sub_cluster=StringInput(eq="main"), tags=None),), figures=FIGURES),
}


@pytest.mark.parametrize("release", [*REAL, "howto"])
@pytest.mark.parametrize("role", ROLES)
async def test_nobody_counts_more_than_their_own_token_shows(release: str, role: str) -> None:
    """What a site says to somebody is what it says where there is nothing that they may not see: figures, groups, reports."""
    whole, own = jobs(), [job for job in jobs() if job["user"] == "mona"]
    told: list[dict[str, object]] = []
    for held in (whole, own):
        wire = wire_over("s1", release, held, clusters=[synthetic_cluster("aurora", RELEASES[release])])
        async with gateway_over([shown_as(wire, "mona", ROLES[role])]) as gateway:
            told.append({name: await _said(gateway, question) for name, question in QUESTIONS.items()})
    sees_all = role in ("admin", "support", "api")
    for name in QUESTIONS:
        assert (told[0][name] == told[1][name]) or sees_all, name
    # and whoever sees all does: the test can tell; REST of 1.4 admits no support token, which /query does not make up for
    assert (told[0]["totals"] != told[1]["totals"]) is (sees_all and (role, release) != ("support", "1.4"))


async def _said(gateway: Gateway, question: StatisticsQuestion) -> object:
    """Everything that an answer says, but for how long it took."""
    try:
        answer = await one(gateway, question)
    except GatewayError as error:
        return str(error)
    reports = [replace(report, elapsed=0.0) for report in answer.reports]
    return str(answer.items), str(reports)


# --- groups, budgets, what is asked once


async def test_the_largest_groups_are_those_over_all_sites() -> None:
    """Each site's own largest group is not the largest of all."""
    first = [made(n, user="alice" if n <= 3 else "carol") for n in range(1, 6)]
    second = [made(n, user="bob" if n <= 3 else "carol") for n in range(1, 6)]
    sites = [instance_of(wire_over(f"s{n}", "1.4", held), n, url=f"http://s{n}") for n, held in ((1, first), (2, second))]
    question = StatisticsQuestion(
        figures=frozenset({Figure.JOBS}), group_by=GroupBy.USER, sort_by=Figure.JOBS, page=PageRequest(1, 2)
    )
    async with gateway_over(sites) as gateway:
        answer = await one(gateway, question)
        second_page = await one(gateway, replace(question, page=PageRequest(2, 2)))
    assert [item.group.id for item in answer.items] == ["carol", "alice"]
    assert [item.group.id for item in second_page.items] == ["bob"]
    assert answer.items[0].group.sites == ["s1", "s2"]


async def test_fields_over_the_same_jobs_are_one_question_to_a_site() -> None:
    wire = wire_over("s1", "1.5", jobs())
    by_jobs = StatisticsQuestion(figures=frozenset({Figure.JOBS}), group_by=GroupBy.USER, sort_by=Figure.JOBS)
    by_hours = replace(by_jobs, figures=frozenset({Figure.CORE_HOURS}), sort_by=Figure.CORE_HOURS, page=PageRequest(1, 1))
    async with gateway_over([instance_of(wire)]) as gateway:
        outcomes = await gateway.statistics([by_jobs, by_hours, replace(by_jobs, group_by=GroupBy.PROJECT)], CALLER)
    assert [len(one.items) for one in outcomes if isinstance(one, StatisticsAnswer)] == [3, 1, 2]
    assert wire.queries == 2


async def test_what_cannot_be_exact_within_the_budget_is_refused_and_the_rest_is_told() -> None:
    sites = [instance_of(wire_over(f"s{n}", "1.5", jobs()), n, url=f"http://s{n}") for n in (1, 2)]
    figures = frozenset({Figure.JOBS, Figure.CORE_HOURS})
    async with gateway_over(sites, scan_budget=5) as gateway:
        answer = await one(gateway, StatisticsQuestion(figures=figures, exact=True))
    (item,) = answer.items
    jobs_of_all = item.group.amount(Figure.JOBS)
    assert jobs_of_all is not None and jobs_of_all.value == 24
    assert item.group.amount(Figure.CORE_HOURS) is None
    refusal = next(one for one in item.exactness if one.figure == "totalCoreHours")
    assert refusal.quality is Quality.REFUSED and "limits.scan_budget" in (refusal.reason or "")


async def test_users_of_a_group_are_united_over_sites() -> None:
    sites = [
        instance_of(wire_over(f"s{n}", release, [made(1, user="alice"), made(2, user=f"u{n}")]), n, url=f"http://s{n}")
        for n, release in enumerate(REAL, 1)
    ]
    async with gateway_over(sites) as gateway:
        answer = await one(gateway, StatisticsQuestion(figures=frozenset({Figure.USERS}), group_by=GroupBy.PROJECT))
    amount = answer.items[0].group.amount(Figure.USERS)
    assert amount is not None and amount.value == 5 and amount.is_exact


def clusters(release: str, peak: float, prefix: str) -> list[dict[str, Any]]:
    """One cluster whose ``flops_any`` is measured so."""
    cluster = synthetic_cluster("aurora", RELEASES[release])
    for metric in cluster["metricConfig"]:
        if metric["name"] == "flops_any":
            metric |= {"peak": peak, "unit": {"base": "F/s", "prefix": prefix}}
    return [cluster]


async def test_bins_of_sites_with_other_peaks_and_units_are_aligned() -> None:
    values = [10.0, 260.0, 499.0, 740.0, 990.0]
    first = [made(n, footprint={"flops_any_avg": value}) for n, value in enumerate(values[:3], 1)]
    second = [made(n, footprint={"flops_any_avg": value / 1000}) for n, value in enumerate(values, 1)]
    sites = [
        instance_of(wire_over("s1", "1.4", first, clusters=clusters("1.4", 500, "G")), 1, url="http://a"),
        instance_of(wire_over("s2", "1.5", second, clusters=clusters("1.5", 1.0, "T")), 2, url="http://b"),
    ]
    question = StatisticsQuestion(histograms=frozenset({METRICS}), metrics=("flops_any",), num_metric_bins=4)
    async with gateway_over(sites) as gateway:
        answer = await one(gateway, question)
    (histogram,) = answer.items[0].metrics
    assert histogram.points is not None, answer.items[0].exactness
    assert (histogram.unit, [count for *_, count in histogram.points]) == ("TF/s", [2, 4, 1, 1])


@pytest.mark.parametrize(("base", "peak"), [("Flops", 500.0), ("F/s", 333.331)])
async def test_bins_that_cannot_be_aligned_are_refused(base: str, peak: float) -> None:
    odd = clusters("1.5", peak, "G")
    next(one for one in odd[0]["metricConfig"] if one["name"] == "flops_any")["unit"] = {"base": base, "prefix": "G"}
    sites = [
        instance_of(wire_over("s1", "1.4", jobs(), clusters=clusters("1.4", 500, "G")), 1, url="http://a"),
        instance_of(wire_over("s2", "1.5", jobs(), clusters=odd), 2, url="http://b"),
    ]
    question = StatisticsQuestion(histograms=frozenset({METRICS}), metrics=("flops_any",))
    async with gateway_over(sites) as gateway:
        answer = await one(gateway, question)
    (item,) = answer.items
    assert item.metrics[0].points is None
    assert item.exactness[0].quality is Quality.REFUSED and item.exactness[0].reason


# --- the cache


async def test_statistics_are_kept_for_a_moment_with_their_age_and_forgotten_after_writes() -> None:
    clock = Clock()
    wire = wire_over("s1", "1.5", jobs())
    question = StatisticsQuestion(figures=FIGURES)
    async with gateway_over([instance_of(wire)], cache_of(clock, list_for=30)) as gateway:
        await one(gateway, question)
        first = wire.queries
        again = await one(gateway, question)
        assert wire.queries == first
        assert again.reports[0].cache_age is not None
        other = await one(gateway, replace(question, filters=(JobFilter(user=StringInput(eq="bob")),)))
        assert wire.queries == first + 1
        assert other.items[0].group.amount(Figure.JOBS) != again.items[0].group.amount(Figure.JOBS)
        await gateway.invalidate("s1", ())
        await one(gateway, question)
        assert wire.queries == first + 2


async def test_what_was_counted_for_one_person_is_shown_to_nobody_else() -> None:
    wire = wire_over("s1", "1.5", jobs())

    class ByName:
        at_once = True
        expires: float | None = None

        async def of(self, caller: Principal, _deadline: object) -> Credential:
            return Credential.from_token(SecretStr(wire.site.mint(caller.subject, ("user", "api"))))

    instance = instance_of(wire)
    instance._credentials = ByName()
    question = StatisticsQuestion(figures=frozenset({Figure.JOBS, Figure.WALLTIME}))
    async with gateway_over([instance], cache_of(Clock(), list_for=30)) as gateway:
        found: Mapping[str, list[StatisticsAnswer | GatewayError]] = {
            name: await gateway.statistics([question], Principal(name)) for name in ("alice", "bob", "alice")
        }
    told_to = {name: str(answers[0].items) for name, answers in found.items() if isinstance(answers[0], StatisticsAnswer)}
    assert len(told_to) == 2 and told_to["alice"] != told_to["bob"]


# --- questions that cannot be answered


@pytest.mark.parametrize(
    "changes",
    [
        {"group_by": GroupBy.USER, "histograms": HISTOGRAMS},
        {"num_metric_bins": 0},
        {"num_metric_bins": 1001},
        {"group_by": GroupBy.USER, "page": PageRequest(0, 5)},
        {"group_by": GroupBy.USER, "page": PageRequest(1, 0)},
    ],
)
def test_questions_without_an_answer_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        StatisticsQuestion(**changes)
    assert refused.value.code is Code.BAD_REQUEST


EVALUATED = {
    "a duration": (JobFilter(duration=IntRange(2000, None)), "1.2 1.3 1.4 1.5"),
    "two texts": (JobFilter(user=StringInput(eq="bob"), project=StringInput(in_=("p_a", "p_ab"))), "1.2 1.3 1.4 1.5"),
    "ids": (JobFilter(db_id=("3", "s1:4")), "1.5"),
    "from 1, which some of 1.5 take for open": (JobFilter(num_accelerators=IntRange(1, 3)), "1.2 1.3 1.4"),
    "from 1 node, as every job has": (JobFilter(num_nodes=IntRange(1, 3)), "1.2 1.3 1.4 1.5"),
    "a host": (JobFilter(node=StringInput(contains="n00")), "1.5"),
    "tags": (JobFilter(tags=("global/review/slow",)), ""),
}


@pytest.mark.parametrize("release", REAL)
@pytest.mark.parametrize("name", EVALUATED)
async def test_a_site_is_believed_where_it_evaluates_the_filter_as_it_is_meant(name: str, release: str) -> None:
    """Else its jobs are counted, which the report says; either way the figures are those of its rows."""
    wanted, evaluated = EVALUATED[name]
    wire = wire_over("s1", release, jobs(), clusters=[synthetic_cluster("aurora", RELEASES[release])])
    async with gateway_over([shown_as(wire, "demo", ("admin", "api"))]) as gateway:
        answer = await one(gateway, StatisticsQuestion(filters=(wanted,), figures=FIGURES - {Figure.SHORT}))
        shown = await gateway.jobs(JobListQuestion(filters=(wanted,), first=100), CALLER)
    (report,) = answer.reports
    assert any("one by one" in note for note in report.notes) is (release not in evaluated.split())
    assert [item.group.amounts[Figure.JOBS].value for item in answer.items] == [len(shown.rows)]


async def test_jobs_that_run_are_counted_once_however_exactly() -> None:
    rows = [made(n, duration=1000) for n in (1, 2, 3)] + [made(n, jobState="running", duration=0) for n in (4, 5)]
    for release in REAL:
        wire = wire_over("s1", release, rows, clusters=[synthetic_cluster("aurora", RELEASES[release])])
        async with gateway_over([shown_as(wire, "demo", ("admin", "api"))]) as gateway:
            for exact in (False, True):
                wanted = (JobFilter(duration=IntRange(60, None)),)
                figures = frozenset({Figure.JOBS, Figure.RUNNING, Figure.CORE_HOURS})
                answer = await one(gateway, StatisticsQuestion(filters=wanted, figures=figures, exact=exact))
                (item,) = answer.items
                assert {name: item.group.amounts[name].value for name in (Figure.JOBS, Figure.RUNNING)} == {
                    Figure.JOBS: 5, Figure.RUNNING: 2,
                }, (release, exact)  # fmt: skip


async def test_over_no_sites_there_is_nothing() -> None:
    async with gateway_over([instance_of(wire_over("aurora", "1.5", jobs()))]) as gateway:
        answer = await one(gateway, StatisticsQuestion(figures=frozenset(Figure), sites=[]))
    (item,) = answer.items
    assert answer.complete and {item.group.amount(figure) for figure in Figure} == {Amount.exact(0)}
    assert {told.quality for told in item.exactness} == {Quality.EXACT}


@pytest.mark.parametrize(
    ("first", "second", "jobs", "missing"),
    [("demo", "demo", 10, None), ("alice", "demo", 10, None), ("demo", "alice", 10, None), ("alice", "bob", 6, "two")],
)
async def test_one_instance_under_two_names_is_counted_by_the_account_that_is_shown_most_of_it(
    first: str, second: str, jobs: int, missing: str | None
) -> None:
    instance = Upstream([Job(number, 1000 + number, user="alice" if number < 6 else "bob") for number in range(10)])
    accounts = {"demo": ADMIN, "alice": user_credential("alice"), "bob": user_credential("bob")}
    sites = [
        site_of(instance, "one", 1, credential=accounts[first]),
        site_of(instance, "two", 2, credential=accounts[second], same_as="one"),
    ]
    async with gateway_over(sites) as gateway:
        (found,) = await gateway.statistics([StatisticsQuestion(figures=frozenset({Figure.JOBS}))], CALLER)
        (strict,) = await gateway.statistics([StatisticsQuestion(figures=frozenset({Figure.JOBS}), policy=Policy.STRICT)], CALLER)
    assert isinstance(found, StatisticsAnswer)
    assert found.items[0].group.amounts[Figure.JOBS.value] == Amount.exact(jobs)
    assert [report.site for report in found.reports if not report.is_complete] == ([] if missing is None else [missing])
    assert {report.code for report in found.reports} == {None, Code.DUPLICATE_SITE}
    assert isinstance(strict, FederationError) is (missing is not None)
