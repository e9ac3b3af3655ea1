"""Lists: parameters, pages, what is said about sites that are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from ccgateway.errors import Code, FederationError, SiteError
from ccgateway.federation.questions import JobListQuestion, PageRequest, Policy
from ccgateway.jobs.filters import IntRange, StringInput, TimeRange
from ccgateway.surfaces.grpc.messages import report_message
from surfaces.fakes import CALLER, aurora, borealis_is_down
from surfaces.rest.asking import RestGateway, client_of, rest_row

RELEASED = "/cc-backend/1.5"


async def asked(path: str, gateway: RestGateway | None = None) -> Any:
    """The question that the gateway gets."""
    gateway = gateway or RestGateway()
    async with client_of(gateway) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return gateway.questions[-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("user=alice", {"user": StringInput(eq="alice")}),
        ("cluster=fritz&project=p", {"cluster": StringInput(eq="fritz"), "project": StringInput(eq="p")}),
        ("state=running&state=failed&state=running", {"state": ("running", "failed")}),
        ("startTime[from]=5", {"start_time": TimeRange(5, None)}),
        ("startTime[to]=9", {"start_time": TimeRange(None, 9)}),
        ("start-time=5-9", {"start_time": TimeRange(5, 9)}),
        ("numNodes[from]=4", {"num_nodes": IntRange(4, None)}),
        ("numNodes[from]=4&numNodes[to]=8", {"num_nodes": IntRange(4, 8)}),
        ("user=alice&user=bob", {"user": StringInput(eq="alice")}),
    ],
)
async def test_the_how_to_pages_filters(query: str, expected: dict[str, Any]) -> None:
    (wanted,) = (await asked(f"/api/jobs/?{query}")).filters
    names = ("user", "cluster", "project", "state", "start_time", "num_nodes")
    assert {name: getattr(wanted, name) for name in names} == dict.fromkeys(names) | expected


@pytest.mark.parametrize("key", ["items_per_page", "items-per-page"])
async def test_sizes_of_pages_by_either_name(key: str) -> None:
    assert (await asked(f"/api/jobs/?{key}=7")).first == 7
    assert (await asked("/api/jobs/")).first == 25
    assert (await asked(f"/api/jobs/?{key}=-1")).page == PageRequest(1, -1)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", False),
        ("with-metadata", True),
        ("with_metadata=true", True),
        ("with_metadata=false", False),
        ("with-metadata=0", False),
    ],
)
async def test_metadata_are_read_where_asked_for(query: str, wanted: bool) -> None:
    gateway = RestGateway()
    question = await asked(f"/api/jobs/?{query}", gateway)
    assert ("meta_data_json" in question.fields) is wanted
    async with client_of(gateway) as client:
        jobs = (await client.get(f"/api/jobs/?{query}")).json()["jobs"]
    assert [one["metaData"] for one in jobs] == [{"jobName": "run"} if wanted else None] * 2


async def test_sites_and_policy_are_handed_on() -> None:
    question = await asked("/api/jobs/?site=borealis&site=aurora&policy=strict")
    assert question.sites == ["borealis", "aurora"] and question.policy is Policy.STRICT
    assert (await asked("/api/jobs/?site=*")).sites is None
    assert (await asked(f"{RELEASED}/api/jobs/?site=aurora")).sites == ["aurora"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("colour=red", "invalid query parameter: colour"),
        ("state=flying", "state: 'flying'"),
        ("startTime[from]=soon", "startTime[from]"),
        ("startTime[from]=-5", "startTime[from]"),
        ("start-time=5", "FROM-TO"),
        ("start-time=5-6-7", "FROM-TO"),
        ("numNodes[to]=0", "numNodes[to]"),
        ("page=0", "page"),
        ("page=99999999999999999999", "page"),
        ("items_per_page=0", "items_per_page"),
        ("items_per_page=-2", "items_per_page"),
        ("policy=LAX", "PARTIAL or STRICT"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_name(query: str, words: str) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        answer = await client.get(f"/api/jobs/?{query}")
    assert answer.status_code == 400 and words in answer.json()["error"] and gateway.questions == []


async def test_a_job_in_a_list_has_the_keys_of_the_page_and_of_every_release() -> None:
    async with client_of(RestGateway(rows=[rest_row(7, "borealis", shared="single_user")])) as client:
        answer = (await client.get("/api/jobs/")).json()
    (job,) = answer["jobs"]
    assert answer == {"jobs": [job], "items": 25, "page": 1}
    assert (job["id"], job["site"], job["state"], job["jobState"]) == (7002, "borealis", "completed", "completed")
    assert (job["shared"], job["exclusive"], job["walltime"], job["tags"][0]["name"]) == ("single_user", 2, 86_400, "gromacs")


async def test_texts_go_through_as_the_site_wrote_them() -> None:
    async with client_of(RestGateway()) as client:
        for base in ("", RELEASED):
            body = (await client.get(f"{base}/api/jobs/")).content
            assert b'"footprint":{"flops_any_avg":12.50}' in body and b'"energy":1.50,' in body


async def test_cc_backends_form_leaves_out_what_is_nothing() -> None:
    row = rest_row(1, partition="", tags=[], array_job_id=0, walltime=0, smt=0, monitoring_status=0, num_acc=0, num_hw_threads=0)
    async with client_of(RestGateway(rows=[row])) as client:
        (job,) = (await client.get(f"{RELEASED}/api/jobs/")).json()["jobs"]
    assert list(job) == [
        "cluster", "subCluster", "project", "user", "shared", "jobState", "resources", "energyFootprint", "footprint", "metaData",
        "concurrentJobs", "energy", "jobId", "duration", "numNodes", "statistics", "id", "startTime",
    ]  # fmt: skip


# --- sites that are missing


@pytest.mark.parametrize("base", ["/api", "/userapi", f"{RELEASED}/api"])
async def test_a_missing_site_is_told_in_a_header_and_in_the_body(base: str) -> None:
    gateway = RestGateway(reports=[aurora(), borealis_is_down()])
    async with client_of(gateway) as client:
        answer = await client.get(f"{base}/jobs/")
    assert answer.status_code == 200 and answer.headers["x-ccgateway-complete"] == "false"
    assert answer.json()["sites"] == {
        "aurora": {"status": "OK"},
        "borealis": {"status": "FAILED", "code": "TIMEOUT", "message": "no answer within 10 s", "retryable": True},
    }


@pytest.mark.parametrize("base", ["/api", f"{RELEASED}/api"])
async def test_when_to_ask_a_missing_site_again_is_told_where_that_is_known(base: str) -> None:
    report = borealis_is_down()
    report.note_failure(SiteError(Code.CIRCUIT_OPEN, "borealis", "not asked now", retry_after=4.2))
    async with client_of(RestGateway(reports=[aurora(), report])) as client:
        told = (await client.get(f"{base}/jobs/")).json()["sites"]
    assert told["borealis"]["retryAfter"] == 5 == report_message(report).retry_after_seconds
    assert "retryAfter" not in told["aurora"] and not report_message(borealis_is_down()).HasField("retry_after_seconds")


async def test_nothing_is_said_of_sites_that_all_answered() -> None:
    async with client_of(RestGateway()) as client:
        answer = await client.get("/api/jobs/")
    assert answer.headers["x-ccgateway-complete"] == "true" and "sites" not in answer.json()


async def test_a_cluster_that_may_be_at_a_missing_site_is_not_called_unknown() -> None:
    async with client_of(RestGateway(reports=[aurora(), borealis_is_down()])) as client:
        gone, there = await client.get("/api/clusters/?cluster=fritz"), await client.get("/api/clusters/?cluster=alex")
    assert gone.status_code == 503 and gone.json()["code"] == "INCOMPLETE"
    assert there.status_code == 200 and there.headers["x-ccgateway-complete"] == "false"
    async with client_of(RestGateway()) as client:
        unknown = await client.get("/api/clusters/?cluster=fritz")
    assert unknown.status_code == 404 and unknown.json()["code"] == "UNKNOWN_CLUSTER"


# --- pages


async def test_the_next_page_begins_where_this_one_ended() -> None:
    gateway = RestGateway(has_next_page=True, end_cursor="c1")
    async with client_of(gateway) as client:
        first = await client.get("/api/jobs/?items_per_page=2&state=completed")
        gateway.end_cursor = "c2"
        second = await client.get("/api/jobs/?page=2&items_per_page=2&state=completed")
        await client.get("/api/jobs/?state=completed&items_per_page=2&page=3")
    assert [(q.first, q.after, q.page) for q in gateway.questions] == [(2, None, None), (2, "c1", None), (2, "c2", None)]
    assert (first.json()["page"], second.json()["page"]) == (1, 2)


async def test_what_is_not_remembered_is_skipped_to() -> None:
    gateway = RestGateway(has_next_page=True, end_cursor="c1")
    async with client_of(gateway) as client:
        await client.get("/api/jobs/?items_per_page=2")
        for other in (
            "items_per_page=3&page=2",
            "items_per_page=2&page=2&user=bob",
            "items_per_page=2&page=2&site=aurora",
            "page=7",
        ):
            await client.get(f"/api/jobs/?{other}")
    assert [q.page for q in gateway.questions[1:]] == [PageRequest(2, 3), *[PageRequest(2, 2)] * 2, PageRequest(7, 25)]


async def test_both_faces_and_metadata_share_their_places() -> None:
    gateway = RestGateway(has_next_page=True, end_cursor="c1")
    async with client_of(gateway) as client:
        await client.get("/api/jobs/?items_per_page=2")
        await client.get(f"{RELEASED}/api/jobs/?items-per-page=2&page=2&with-metadata")
    assert gateway.questions[-1].after == "c1"


async def test_a_link_leads_on_with_a_cursor() -> None:
    gateway = RestGateway(has_next_page=True, end_cursor="c/1")
    async with client_of(gateway) as client:
        answer = await client.get("/api/jobs/?startTime[from]=5&items_per_page=2")
        link = answer.headers["link"]
        assert link.startswith("<?") and link.endswith('>; rel="next"')
        query = link[2:].partition(">")[0]
        assert parse_qsl(query) == [("startTime[from]", "5"), ("items_per_page", "2"), ("page", "2"), ("cursor", "c/1")]
        gateway.has_next_page = False
        last = await client.get(f"/api/jobs/?{query}")
    assert gateway.questions[-1].after == "c/1" and last.json()["page"] == 2 and "link" not in last.headers


async def test_a_short_page_by_number_is_refused_while_there_is_more() -> None:
    gateway = RestGateway(has_next_page=True)
    async with client_of(gateway) as client:
        numbered = await client.get("/api/jobs/?items_per_page=3")
        by_cursor = await client.get("/api/jobs/?items_per_page=3&cursor=")
    assert numbered.status_code == 422 and numbered.json()["code"] == "SCAN_BUDGET" and "cursor=" in numbered.json()["error"]
    assert by_cursor.status_code == 200 and len(by_cursor.json()["jobs"]) == 2 and "link" in by_cursor.headers


# --- what is not complete


def policy_of(question: Any) -> Policy:
    """The policy that a question of any kind has."""
    if isinstance(question, JobListQuestion):
        return question.policy
    return next(part for part in question if isinstance(part, Policy))


READS = ("jobs/", "clusters/", "users/", "jobs/used_nodes?ts=5")


@pytest.mark.parametrize("face", ["/api", f"{RELEASED}/api"])
@pytest.mark.parametrize("path", READS)
async def test_policy_strict_reaches_every_read_of_both_faces(face: str, path: str) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        for words, wanted in (("", Policy.PARTIAL), ("policy=STRICT", Policy.STRICT), ("policy=partial", Policy.PARTIAL)):
            await client.get(f"{face}/{path}{'&' if '?' in path else '?'}{words}")
            assert policy_of(gateway.questions[-1]) is wanted
        answer = await client.get(f"{face}/{path}{'&' if '?' in path else '?'}policy=LAX")
    assert answer.status_code == 400 and "PARTIAL or STRICT" in answer.json()["error"]


@pytest.mark.parametrize("face", ["/api", f"{RELEASED}/api"])
@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("words", ["", "policy=PARTIAL"])
async def test_where_the_settings_refuse_parts_nothing_a_client_says_brings_them_back(face: str, path: str, words: str) -> None:
    refusing = replace(CALLER, refuses_parts=True)
    for more in ({"partial": "refuse"}, {"caller": refusing}):
        gateway = RestGateway()
        async with client_of(gateway, **more) as client:
            await client.get(f"{face}/{path}{'&' if '?' in path else '?'}{words}")
        assert [policy_of(one) for one in gateway.questions] == [Policy.STRICT]


@pytest.mark.parametrize("face", ["/api", f"{RELEASED}/api"])
async def test_a_refused_part_is_503_and_names_the_site_in_the_words_of_the_face(face: str) -> None:
    cause = SiteError(Code.TIMEOUT, "borealis", "The site did not answer in time.")
    gateway = RestGateway(fault=FederationError(Code.INCOMPLETE, "Not complete without borealis.", [cause]))
    async with client_of(gateway, partial="refuse") as client:
        answer = await client.get(f"{face}/jobs/")
    assert answer.status_code == 503 and answer.json()["status"] == "Service Unavailable"
    assert "borealis" in answer.json()["error"]


# --- by the scheduler's number


@pytest.mark.parametrize("face", ["/api", f"{RELEASED}/api"])
@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("jobId=7", StringInput(eq="7")),
        ("jobId=007", StringInput(eq="7")),
        (f"jobId={2**63 - 1}", StringInput(eq=str(2**63 - 1))),
        ("jobId=7&jobId=8&jobId=7", StringInput(in_=("7", "8"))),
    ],
)
async def test_jobs_are_found_by_the_schedulers_number(face: str, query: str, wanted: StringInput) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        assert (await client.get(f"{face}/jobs/?{query}")).status_code == 200
        assert gateway.questions[-1].filters[0].job_id == wanted
        for wrong in ("", "x", "-1", "1.5", "1" * 40):
            answer = await client.get(f"{face}/jobs/?jobId={wrong}")
            assert answer.status_code == 400 and "jobId" in answer.json()["error"]
