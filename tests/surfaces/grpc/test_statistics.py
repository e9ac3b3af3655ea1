"""Statistics by gRPC are those of GraphQL: every figure, group, histogram and bound; and pages of groups."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import msgspec
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict

from ccgateway.jobs.statistics.figures import FIGURES, GroupBy
from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.v1 import job_pb2, report_pb2
from ccgateway.v1 import statistics_pb2 as pb
from ccgateway.v1.filter_pb2 import DoubleRange, JobFilter, StringFilter
from ccgateway.v1.jobs_service_pb2 import GetStatisticsRequest, GetStatisticsResponse
from support.faces import Faces, faces

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = 1_760_000_000
RELEASES = {"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3", "draco": "1.2", "eridanus": "howto"}
SHOWN = f"""id name {" ".join(FIGURES)} complete exactness {{ figure quality atLeast atMost reason }}
  sites {{ site status code }}"""
HISTOGRAMS = """histDuration { value count } histDurationOverflow histNumNodes { value count } histNumCores { value count }
  histNumAccs { value count } histMetrics { metric unit stat data { bin min max count } }"""


def site(name: str, release: str) -> SimulatedSite:
    jobs = GeneratedJobs(60, cluster=name, seed=len(name), until=NOW)
    return SimulatedSite(name, release, jobs, clock=lambda: float(NOW))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Faces]:
    async with faces(*(site(name, release) for name, release in RELEASES.items())) as found:
        yield found


ALL = FieldMask(paths=["*"])
QUESTIONS: Mapping[str, tuple[GetStatisticsRequest, str]] = {
    "all jobs": (GetStatisticsRequest(), ""),
    "exact": (GetStatisticsRequest(exact=True), "exact: true"),
    "a filter": (GetStatisticsRequest(filters=[JobFilter(user=StringFilter(eq="bob"))]), 'filter: [{user: {eq: "bob"}}]'),
    "states": (
        GetStatisticsRequest(filters=[JobFilter(states=[job_pb2.JOB_STATE_RUNNING])]), "filter: [{state: [running]}]",
    ),
    "two sites": (GetStatisticsRequest(sites=["aurora", "cygnus"]), 'sites: ["aurora", "cygnus"]'),
    **{
        f"by {group}": (GetStatisticsRequest(group_by=f"STATISTICS_GROUP_{group.name}"), f"groupBy: {group.name}")
        for group in GroupBy
    },
    **{
        f"sorted by {name}": (
            GetStatisticsRequest(group_by=pb.STATISTICS_GROUP_USER, sort_by=field), f"groupBy: USER, sortBy: {name.upper()}",
        )
        for name, field in {"totalJobs": "total_jobs", "totalCoreHours": "total_core_hours"}.items()
    },
    "histograms": (
        GetStatisticsRequest(read_mask=ALL, metrics=["flops_any", "mem_used"]), 'metrics: ["flops_any", "mem_used"]',
    ),
    **{
        f"bins of {word}": (
            GetStatisticsRequest(read_mask=ALL, duration_bins=bins, metrics=["cpu_load"], metric_bins=4),
            f'numDurationBins: "{word}", numMetricBins: 4, metrics: ["cpu_load"]',
        )
        for word, bins in {
            "1m": pb.DURATION_BINS_1_MINUTE, "10m": pb.DURATION_BINS_10_MINUTES, "1h": pb.DURATION_BINS_1_HOUR,
            "6h": pb.DURATION_BINS_6_HOURS, "12h": pb.DURATION_BINS_12_HOURS,
        }.items()
    },
}  # fmt: skip


async def test_the_table_has_every_field_and_word() -> None:
    used = {field.name for request, _ in QUESTIONS.values() for field, _ in request.ListFields()}
    assert used | {"page_size", "page_token", "policy"} == set(GetStatisticsRequest.DESCRIPTOR.fields_by_name)
    for kind, field in ((pb.DurationBins, "duration_bins"), (pb.StatisticsGroup, "group_by")):
        assert {getattr(request, field) for request, _ in QUESTIONS.values()} == set(kind.values())


def _number(value: Any) -> Any:
    """GraphQL gives 64-bit integers as numbers, protobuf's JSON as texts."""
    if isinstance(value, dict):
        return {key: _number(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_number(one) for one in value]
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def by_grpc(one: pb.JobStatistics) -> dict[str, Any]:
    """One element in GraphQL's form, without what is not set."""
    found: dict[str, Any] = _number(MessageToDict(one))
    for name in ("histDuration", "histNumNodes", "histNumCores", "histNumAccs"):
        if name in found:
            found[name] = [{"value": 0, "count": 0} | one for one in found[name].get("bins", [])]
    for metric in found.get("histMetrics", []):
        bins = metric.pop("bins", None)
        metric["data"] = None if bins is None else [{"min": 0, "max": 0, "count": 0} | one for one in bins]
    for exactness in found.get("exactness", []):
        exactness["quality"] = exactness["quality"].removeprefix("FIGURE_QUALITY_")
        head, dot, metric = exactness["figure"].partition(".")
        words = head.split("_")
        exactness["figure"] = words[0] + "".join(map(str.capitalize, words[1:])) + dot + metric
    return {"id": "", "name": ""} | found


def by_graphql(one: dict[str, Any]) -> dict[str, Any]:
    """Without what is null or empty."""
    found = {name: value for name, value in one.items() if name not in ("complete", "sites") and value not in (None, [])}
    for name in ("histDuration", "histNumNodes", "histNumCores", "histNumAccs"):
        if one.get(name) == []:
            found[name] = []
    found["exactness"] = [{key: value for key, value in entry.items() if value is not None} for entry in one["exactness"]]
    for metric in found.get("histMetrics", []):
        for name in [name for name in ("stat", "unit") if not metric[name]]:
            del metric[name]
    return found


@pytest.mark.parametrize("name", QUESTIONS)
async def test_statistics_are_equal(both: Faces, name: str) -> None:
    request, arguments = QUESTIONS[name]
    shown = SHOWN + (HISTOGRAMS if request.read_mask.paths else "")
    wanted = (await both.data(f"{{ jobsStatistics{f'({arguments})' if arguments else ''} {{ {shown} }} }}"))["jobsStatistics"]
    found: GetStatisticsResponse = await both.jobs.GetStatistics(request)
    assert [by_grpc(one) for one in found.statistics] == [by_graphql(one) for one in wanted] != []
    assert found.complete == wanted[0]["complete"] and not found.next_page_token
    reports = [(one.site, report_pb2.SiteStatus.Name(one.status).removeprefix("SITE_STATUS_")) for one in found.site_reports]
    assert reports == [(one["site"], one["status"]) for one in wanted[0]["sites"]]


async def test_only_the_fields_of_the_mask_come(both: Faces) -> None:
    found = await both.jobs.GetStatistics(GetStatisticsRequest(read_mask=FieldMask(paths=["total_jobs", "hist_num_nodes"])))
    (one,) = found.statistics
    assert {field.name for field, _ in one.ListFields()} == {"total_jobs", "hist_num_nodes", "exactness"}
    assert {entry.figure for entry in one.exactness} == {"total_jobs", "hist_num_nodes"}


async def test_groups_come_page_by_page(both: Faces) -> None:
    request = GetStatisticsRequest(group_by=pb.STATISTICS_GROUP_USER, sort_by="total_core_hours")
    whole = [one.id for one in (await both.jobs.GetStatistics(request)).statistics]
    request.page_size = 3
    given: list[str] = []
    while True:
        page = await both.jobs.GetStatistics(request)
        given += [one.id for one in page.statistics]
        if not page.next_page_token:
            break
        assert len(page.statistics) == 3
        request.page_token = page.next_page_token
    assert given == whole and len(whole) > 3


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (GetStatisticsRequest(group_by=99), "group_by: 99"),  # type: ignore[arg-type]
        (GetStatisticsRequest(duration_bins=99), "duration_bins: 99"),  # type: ignore[arg-type]
        (GetStatisticsRequest(sort_by="totalJobs"), "sort_by: 'totalJobs' is none of the figures: total_jobs, "),
        (GetStatisticsRequest(metric_bins=-1), "-1 is not between 1 and"),
        (GetStatisticsRequest(group_by=pb.STATISTICS_GROUP_USER, read_mask=ALL), "Histograms"),
        (GetStatisticsRequest(read_mask=FieldMask(paths=["totalJobs"])), "read_mask: 'totalJobs'"),
        (GetStatisticsRequest(page_token="x", group_by=pb.STATISTICS_GROUP_USER), "page_token"),
        (GetStatisticsRequest(page_size=-1), "page_size"),
    ],
)
async def test_what_cannot_be_meant_is_refused_in_its_own_words(both: Faces, request_: GetStatisticsRequest, words: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await both.jobs.GetStatistics(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT and words in (refused.value.details() or "")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_a_range_without_finite_ends_is_refused(both: Faces, value: float) -> None:
    energy = JobFilter(energy_kwh=DoubleRange(min=value, max=5.0))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await both.jobs.GetStatistics(GetStatisticsRequest(filters=[energy]))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT and "finite" in (refused.value.details() or "")


async def test_a_token_of_somebody_elses_making_is_none(both: Faces) -> None:
    request = GetStatisticsRequest(group_by=pb.STATISTICS_GROUP_USER, page_size=1)
    token = (await both.jobs.GetStatistics(request)).next_page_token
    digest, _ = msgspec.msgpack.decode(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_"))
    for key in ((1, "x", "y"), ("a",), ("a", 1, 2)):
        request.page_token = base64.urlsafe_b64encode(msgspec.msgpack.encode((digest, key))).decode().rstrip("=")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await both.jobs.GetStatistics(request)
        assert "page_token" in (refused.value.details() or "")
