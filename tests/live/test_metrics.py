"""Metrics through the gateway are the instance's own: metric by metric, scope by scope, value by value."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.jobs.metrics import MetricsWanted
from ccgateway.settings import LimitSettings
from live import upstream
from live.faces import CALLER, Http, gateway_over
from live.farm import Farm, Site
from live.truth import Job

#: jobs looked at of each instance
SAMPLE = 60

METRIC = """name scope metric { unit { base prefix } timestep series { hostname id statistics { avg min max } data }
statisticsSeries { mean median min max } }"""
ONE = f"""query($id: ID!, $metrics: [String!], $scopes: [MetricScope!]) {{
jobMetrics(id: $id, metrics: $metrics, scopes: $scopes) {{ {METRIC} }} }}"""
IN_STEPS = f"""query($id: ID!, $resolution: Int) {{
jobMetrics(id: $id, scopes: [node], resolution: $resolution) {{ {METRIC} }} }}"""
MANY = f"""query($site: [String!], $metrics: [String!], $scopes: [MetricScope!]) {{
jobs(first: 100, sites: $site) {{ items {{ id metrics(metrics: $metrics, scopes: $scopes) {{ {METRIC} }} }} complete }} }}"""

QUESTIONS: list[tuple[list[str] | None, list[str] | None]] = [
    (None, None),
    (["cpu_load", "mem_bw"], ["node"]),
    (["mem_bw", "flops_any"], ["node", "socket"]),
    (["cpu_power"], ["core"]),
    (["nope"], None),
]

Metrics = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def settled(farm: Farm, farm_jobs: list[Job]) -> None:
    """Up to 1.3 an instance that once derived a job's node scope gives it from then on, also unasked: here, from the start."""
    for job in farm_jobs:
        site = next(site for site in farm if site.name == job["site"])
        if site.version < (1, 4):
            upstream.read(site, f"{site.root('demo')}/jobs/metrics/{job['dbId']}?scope=node", user="demo")


def sample(farm_jobs: list[Job], site: Site) -> list[Job]:
    """Some jobs of every age and size, the largest among them."""
    own = sorted((job for job in farm_jobs if job["site"] == site.name), key=lambda job: (job["numNodes"], job["dbId"]))
    return own[:: max(1, len(own) // SAMPLE)] + own[-3:]


def by_name(metrics: list[dict[str, Any]]) -> Metrics:
    """Metrics by name and scope; the order of series differs from answer to answer where an instance computes them."""
    found: Metrics = {}
    for one in metrics:
        metric, key = one["metric"], (one["name"], one["scope"])
        assert key not in found
        over_all = metric.get("statisticsSeries")
        found[key] = {
            "unit": {"base": metric["unit"]["base"], "prefix": metric["unit"].get("prefix") or None},
            "timestep": metric["timestep"],
            "series": sorted(
                ({"id": None, **series} for series in metric["series"]), key=lambda each: (each["hostname"], each["id"] or "")
            ),
            "statisticsSeries": over_all and {name: over_all.get(name) or [] for name in ("mean", "median", "min", "max")},
        }
    return found


def told(site: Site, db_id: int, names: list[str] | None, scopes: list[str] | None, user: str = "demo") -> Metrics:
    """What the instance answers itself."""
    query = urlencode([("metric", name) for name in names or ()] + [("scope", scope) for scope in scopes or ()])
    answer = upstream.read(site, f"{site.root(user)}/jobs/metrics/{db_id}?{query}", user=user)
    assert answer["error"] is None, answer
    return by_name(answer["data"]["jobMetrics"])


@pytest.mark.parametrize(("names", "scopes"), QUESTIONS, ids=str)
def test_one_jobs_metrics_are_the_instances_own(
    farm: Farm, farm_jobs: list[Job], farm_http: Http, names: list[str] | None, scopes: list[str] | None
) -> None:
    for site in farm:
        for job in sample(farm_jobs, site):
            variables = {"id": f"{site.name}:{job['dbId']}", "metrics": names, "scopes": scopes}
            found = by_name(farm_http.ask(ONE, variables)["data"]["jobMetrics"])
            assert found == told(site, job["dbId"], names, scopes), variables


@pytest.mark.parametrize("resolution", [0, 60, 120, 600])
def test_metrics_come_in_the_steps_that_the_instance_makes_of_its_own(
    farm: Farm, farm_jobs: list[Job], farm_http: Http, resolution: int
) -> None:
    for site in farm:
        for job in sample(farm_jobs, site)[::4]:
            variables = {"id": f"{site.name}:{job['dbId']}", "resolution": resolution}
            found = by_name(farm_http.ask(IN_STEPS, variables)["data"]["jobMetrics"])
            if site.isolates:
                own = upstream.query(site, IN_STEPS, {"id": str(job["dbId"]), "resolution": resolution})
                assert found == by_name(own["jobMetrics"]), variables
            else:
                assert found == told(site, job["dbId"], None, ["node"]), variables


@pytest.mark.parametrize(("names", "scopes"), QUESTIONS[:3], ids=str)
def test_a_list_of_jobs_has_the_same_metrics(
    farm: Farm, farm_http: Http, names: list[str] | None, scopes: list[str] | None
) -> None:
    for site in farm:
        page = farm_http.ask(MANY, {"site": [site.name], "metrics": names, "scopes": scopes})["data"]["jobs"]
        assert len(page["items"]) == 100 and page["complete"]
        for item in page["items"]:
            db_id = int(item["id"].partition(":")[2])
            assert by_name(item["metrics"]) == told(site, db_id, names, scopes), item["id"]


def test_metrics_come_in_the_order_asked_for(farm: Farm, farm_jobs: list[Job], farm_http: Http) -> None:
    names, scopes = ["mem_bw", "flops_any", "cpu_load"], ["socket", "node"]
    for site in farm:
        for job in sample(farm_jobs, site)[:10]:
            variables = {"id": f"{site.name}:{job['dbId']}", "metrics": names, "scopes": scopes}
            found = [(one["name"], one["scope"]) for one in farm_http.ask(ONE, variables)["data"]["jobMetrics"]]
            there = told(site, job["dbId"], names, scopes)
            assert len(there) >= len(names)
            assert found == [(name, scope) for name in names for scope in scopes if (name, scope) in there]


def test_a_document_for_one_instance_gives_the_same_here(farm: Farm, farm_jobs: list[Job], farm_http: Http) -> None:
    for site in farm:
        document = ONE if site.isolates else ONE.replace("median", "")
        for job in sample(farm_jobs, site)[:20]:
            theirs = upstream.query(site, document, {"id": str(job["dbId"]), "scopes": ["node", "socket"]})["jobMetrics"]
            ours = farm_http.ask(document, {"id": f"{site.name}:{job['dbId']}", "scopes": ["node", "socket"]})["data"][
                "jobMetrics"
            ]
            assert by_name(ours) == by_name(theirs)


def test_statistics_are_those_that_the_instance_keeps(farm: Farm, farm_jobs: list[Job], farm_http: Http) -> None:
    names = ["cpu_load", "mem_used", "flops_any"]
    ours = "query($id: ID!, $m: [String!]) { jobStats(id: $id, metrics: $m) { name data { avg min max } } }"
    for site in farm:
        if not site.isolates:
            continue
        theirs = ours if site.is_newest else ours.replace("data {", "data: stats {")
        for job in sample(farm_jobs, site):
            found = farm_http.data(ours, {"id": f"{site.name}:{job['dbId']}", "m": names})["jobStats"]
            kept = {
                one["name"]: one["data"] for one in upstream.query(site, theirs, {"id": str(job["dbId"]), "m": names})["jobStats"]
            }
            assert [one["name"] for one in found] == names
            for one in found:
                mine, own = one["data"], kept[one["name"]]
                # the instance's average is of more digits than its series show
                assert mine["avg"] == pytest.approx(own["avg"], abs=0.02)
                assert (mine["min"], mine["max"]) == (own["min"], own["max"])


def test_statistics_by_place_are_those_of_the_series(farm: Farm, farm_jobs: list[Job], farm_http: Http) -> None:
    document = "query($id: ID!) { scopedJobStats(id: $id) { name scope stats { hostname id data { avg min max } } } }"
    for site in farm:
        for job in sample(farm_jobs, site)[:20]:
            found = farm_http.data(document, {"id": f"{site.name}:{job['dbId']}"})["scopedJobStats"]
            expected = told(site, job["dbId"], None, None)
            assert {(one["name"], one["scope"]) for one in found} == set(expected)
            for one in found:
                places = {(place["hostname"], place["id"]): place["data"] for place in one["stats"]}
                series = expected[one["name"], one["scope"]]["series"]
                assert places == {(each["hostname"], each["id"]): each["statistics"] for each in series}


# --- whose token the gateway holds


async def test_a_pure_api_token_gets_what_the_job_itself_gives(farm: Farm, farm_jobs: list[Job]) -> None:
    wanted = MetricsWanted.of(["cpu_load", "mem_bw"], None)
    async with gateway_over(farm.settings("robot")) as gateway:
        for site in farm:
            for job in sample(farm_jobs, site)[:15]:
                budget = MetricsBudget(LimitSettings())  # type: ignore[call-arg]
                answer = await gateway.job_metrics(f"{site.name}:{job['dbId']}", wanted, CALLER, budget=budget)
                status, theirs = upstream.call(site, "POST", f"/api/jobs/{job['dbId']}", ["cpu_load", "mem_bw"], user="robot")
                assert status == 200
                expected = {(one["name"], one["scope"]) for one in theirs["Data"]}
                assert {(piece.name, piece.scope) for piece in answer.pieces} == expected
                assert any("chosen by the site" in note for note in answer.report.notes)


@pytest.mark.parametrize("user", ["alice", "mona"])
async def test_nobody_reads_the_metrics_of_others(farm: Farm, farm_jobs: list[Job], user: str) -> None:
    async with gateway_over(farm.settings(user)) as gateway:
        for site in farm:
            for job in sample(farm_jobs, site)[:30]:
                budget = MetricsBudget(LimitSettings())  # type: ignore[call-arg]
                asked = gateway.job_metrics(f"{site.name}:{job['dbId']}", MetricsWanted(), CALLER, budget=budget)
                if job["user"] == user:
                    answer = await asked
                    assert {(piece.name, piece.scope) for piece in answer.pieces} == set(told(site, job["dbId"], None, None))
                    continue
                with pytest.raises(SiteError) as failed:
                    await asked
                assert failed.value.code is Code.NOT_FOUND


async def test_a_job_that_is_not_there_is_not_found(farm: Farm) -> None:
    async with gateway_over(farm.settings()) as gateway:
        for site in farm:
            with pytest.raises(SiteError) as failed:
                await gateway.job_metrics(
                    f"{site.name}:99999999",
                    MetricsWanted(),
                    CALLER,
                    budget=MetricsBudget(LimitSettings()),  # type: ignore[call-arg]
                )
            assert failed.value.code is Code.NOT_FOUND
