"""What each release writes, decoded: against bodies that real instances sent; and what each is asked."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import Conditions, conditions_of
from ccgateway.jobs.filters import IntRange, JobFilter, StringInput
from ccgateway.jobs.model import JOB_FIELDS, JOB_TEXTS, JobRow
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.releases import DIALECTS, Window
from support.recordings import RECORDED, body_of, recorded, recorded_jobs
from support.upstream import ADMIN, user_credential

EVERYTHING = frozenset(JOB_FIELDS)
WINDOW = Window(5, 9)
releases = pytest.mark.parametrize("release", sorted(RECORDED))


def epoch_of(value: Any) -> int:
    return int(dt.datetime.fromisoformat(value).timestamp()) if isinstance(value, str) else value


def listed(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def assert_row_is(row: JobRow, job: dict[str, Any], release: str) -> None:
    """Every attribute, from the JSON by hand."""
    old = release in ("1.2", "1.3")
    words = {0: "multi_user", 1: "none", 2: "single_user"}
    expected = {
        "id": job["id"], "job_id": job["jobId"], "cluster": job["cluster"], "start_time": epoch_of(job["startTime"]),
        "user": job["user"], "project": job["project"], "sub_cluster": job["subCluster"], "partition": job.get("partition", ""),
        "array_job_id": job.get("arrayJobId", 0), "num_nodes": job["numNodes"], "num_hw_threads": job.get("numHwthreads", 0),
        "num_acc": job.get("numAcc", 0), "smt": job.get("smt", 0), "state": job["jobState"],
        "shared": job["shared"] if release == "1.5" else words[job["exclusive"]],
        "monitoring_status": job.get("monitoringStatus", 0), "duration": job["duration"], "walltime": job.get("walltime", 0),
        "energy": 0.0 if old else job["energy"], "footprint": None if old else job["footprint"],
        "meta_data": job.get("metaData"),
    }  # fmt: skip
    assert {name: getattr(row, name) for name in expected} == expected
    hosts = [(r.hostname, r.hwthreads, r.accelerators) for r in row.resources or []]
    assert hosts == [(r["hostname"], listed(r.get("hwthreads")), listed(r.get("accelerators"))) for r in job["resources"]]
    tags = [(t.type, t.name, t.scope, t.id) for t in row.tags or []]
    assert tags == [(t["type"], t["name"], t.get("scope", "global"), t["id"]) for t in job.get("tags", [])]


# --- reading


@releases
def test_a_recorded_list_is_decoded_attribute_by_attribute(release: str) -> None:
    answer = recorded(release, "list: all, with metadata (the starting state)")
    rows = DIALECTS[release].list_rows(answer, "here", EVERYTHING)
    assert len(rows) == len(recorded_jobs(release)) > 20
    for row, job in zip(rows, recorded_jobs(release), strict=True):
        assert_row_is(row, job, release)
        assert row.key == ("here", job["cluster"], job["jobId"], job["startTime"])


@releases
@pytest.mark.parametrize("case", ["list shows tags", "list of the stopped", "list at the end", "list: ?page=99"])
def test_lists_from_later_in_the_recording_decode_too(release: str, case: str) -> None:
    rows = DIALECTS[release].list_rows(recorded(release, case), "here", EVERYTHING)
    for row, job in zip(rows, body_of(release, case)["jobs"], strict=True):
        assert_row_is(row, job, release)


@pytest.mark.parametrize("release", ["1.3", "1.4", "1.5"])
@pytest.mark.parametrize(
    "case", ["job, one node", "job, several nodes", "job with tags as demo", "running job", "job after meta"]
)
def test_a_recorded_single_job_is_decoded_whatever_form_its_time_has(release: str, case: str) -> None:
    row = DIALECTS[release].job_row(recorded(release, case), "here", EVERYTHING)
    assert_row_is(row, body_of(release, case)["Meta"], release)


@releases
def test_only_what_is_needed_is_decoded(release: str) -> None:
    [row, *_] = DIALECTS[release].list_rows(recorded(release, "list: no parameters"), "here", frozenset({"user"}))
    assert row.user
    with pytest.raises(AttributeError):
        _ = row.project


@releases
def test_only_what_is_needed_must_fit(release: str) -> None:
    """A field that nobody asked for may hold anything."""
    body = b'{"jobs":[{"id":1,"jobId":2,"cluster":"x","startTime":3,"user":{"nested":[1,2,{}]},"tags":7}]}'
    [row] = DIALECTS[release].list_rows(SiteAnswer(200, "application/json", body), "here", frozenset())
    assert row.key == ("here", "x", 2, 3)


@pytest.mark.parametrize("release", ["1.3", "1.4", "1.5"])
def test_recorded_clusters_are_decoded(release: str) -> None:
    [cluster] = DIALECTS[release].clusters(recorded(release, "clusters"), "here")
    [raw] = body_of(release, "clusters")["clusters"]
    assert cluster.name == raw["name"]
    assert [m.name for m in cluster.metric_config or []] == [m["name"] for m in raw["metricConfig"]]
    assert [(m.timestep, m.scope, m.unit.base) for m in cluster.metric_config or []] == [
        (m["timestep"], m["scope"], m["unit"]["base"]) for m in raw["metricConfig"]
    ]
    assert [s.nodes for s in cluster.sub_clusters or []] == [s["nodes"] for s in raw["subClusters"]]
    assert (cluster.sub_clusters or [])[0].topology.node == raw["subClusters"][0]["topology"]["node"]


@releases
def test_recorded_partitions_are_decoded(release: str) -> None:
    [cluster] = DIALECTS[release].graphql_clusters(recorded(release, "query: clusters"), "here")
    assert sorted(cluster.partitions or []) == ["", "main"]


@releases
def test_recorded_users_are_decoded_whatever_their_content_type(release: str) -> None:
    users = DIALECTS[release].users(recorded(release, "users"), "here")
    raw = body_of(release, "users")
    assert [(u.username, u.roles) for u in users] == [(u["username"], u["roles"]) for u in raw]


@releases
@pytest.mark.parametrize("who", ["nobody", "malformed", "forged", "expired", "hs256", "norole", "adminonly", "useronly"])
def test_every_recorded_bad_token_is_an_unauthorized_site(release: str, who: str) -> None:
    with pytest.raises(SiteError) as refused:
        DIALECTS[release].list_rows(recorded(release, f"list as {who}", who), "here", EVERYTHING)
    assert refused.value.code is Code.SITE_UNAUTHORIZED
    assert "<" not in refused.value.message


@releases
@pytest.mark.parametrize("name", ["data", "errors", "clusters", 'q"data"'])
def test_a_cluster_may_have_any_name(release: str, name: str) -> None:
    body = msgspec.json.encode({"clusters": [{"name": name}]})
    assert [c.name for c in DIALECTS[release].clusters(SiteAnswer(200, "application/json", body), "here")] == [name]


@releases
@pytest.mark.parametrize(
    "body", [b'{"errors":[{"message":"no such thing"}],"data":null}', b'{"data":null,"errors":[{"message":"no such thing"}]}']
)
def test_an_error_of_the_sites_own_graphql_is_an_error_and_not_an_empty_list(release: str, body: bytes) -> None:
    answer = SiteAnswer(200, "application/json", body)
    for ask in (DIALECTS[release].clusters, DIALECTS[release].graphql_clusters):
        with pytest.raises(SiteError, match="no such thing") as failed:
            ask(answer, "here")
        assert failed.value.code is Code.SITE_ERROR


# --- the how-to page


@pytest.mark.parametrize(
    ("changes", "attribute", "value"),
    [
        ({"state": "failed"}, "state", "failed"),
        ({"jobState": "failed"}, "state", "failed"),
        ({"startTime": 1700000000}, "start_time", 1700000000),
        ({"startTime": "2023-11-14T23:13:20+01:00"}, "start_time", 1700000000),
        ({"exclusive": 0}, "shared", "multi_user"),
        ({"shared": "single_user"}, "shared", "single_user"),
        ({}, "shared", "none"),
        ({"numHwthreads": 8}, "num_hw_threads", 8),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_howto_form_is_read_leniently(changes: dict[str, Any], attribute: str, value: object, wrapped: bool) -> None:
    job = {"id": 1, "jobId": 2, "cluster": "x", "startTime": 3, **changes}
    body = msgspec.json.encode({"Meta": job, "Data": None} if wrapped else job)
    row = DIALECTS["howto"].job_row(SiteAnswer(200, "application/json", body), "here", EVERYTHING)
    assert getattr(row, attribute) == value


# --- asking


def query_of(release: str, *filters: JobFilter, window: Window = WINDOW, size: int = 7, page: int = 1) -> list[tuple[str, str]]:
    dialect = DIALECTS[release]
    plan = dialect.plan(conditions_of(filters, "here"), frozenset(), ADMIN)
    url = urlsplit(dialect.list_request("/api", plan, window, size, page).path)
    assert url.path == "/api/jobs/"
    return parse_qsl(url.query, keep_blank_values=True, strict_parsing=True)


@releases
def test_a_page_is_asked_with_both_ends_of_its_window(release: str) -> None:
    assert query_of(release) == [("start-time", "5-9"), ("items-per-page", "7")]
    assert ("page", "3") in query_of(release, page=3)


def test_the_howto_page_is_asked_in_its_own_words() -> None:
    assert dict(query_of("howto")) == {"startTime[from]": "5", "startTime[to]": "9", "items_per_page": "7", "page": "1"}
    many = JobFilter(num_nodes=IntRange(2), user=StringInput(eq="a&b=c"), state=("running",))
    assert {("numNodes[from]", "2"), ("user", "a&b=c"), ("state", "running")} <= set(query_of("howto", many))


@releases
def test_metadata_is_asked_for_only_when_needed(release: str) -> None:
    assert ("with-metadata", "true") in query_of(release, JobFilter(job_name=StringInput(eq="x")))
    assert ("with-metadata", "true") not in query_of(release, JobFilter(user=StringInput(eq="x")))


@pytest.mark.parametrize(
    ("release", "states", "sent"),
    [
        ("1.5", ("running", "stopped"), ["running"]),
        ("1.4", ("running", "stopped", "suspended"), ["running", "stopped"]),
        ("1.5", ("node_fail",), ["node_fail"]),
    ],
)
def test_a_site_is_asked_only_for_states_that_it_knows(release: str, states: tuple[str, ...], sent: list[str]) -> None:
    assert [value for key, value in query_of(release, JobFilter(state=states)) if key == "state"] == sent


@pytest.mark.parametrize(
    ("release", "state"), [("1.5", "stopped"), ("1.4", "node_fail"), ("1.2", "pending"), ("1.3", "nonsense")]
)
def test_a_state_that_a_site_does_not_know_means_no_jobs_there(release: str, state: str) -> None:
    assert DIALECTS[release].plan(conditions_of([JobFilter(state=(state,))], "here"), frozenset(), ADMIN).never


@pytest.mark.parametrize(("release", "pushed"), [("1.2", False), ("1.3", False), ("1.4", False), ("1.5", True), ("howto", True)])
def test_only_releases_that_know_projects_are_asked_for_one(release: str, pushed: bool) -> None:
    sent = ("project", "p_a") in query_of(release, JobFilter(project=StringInput(eq="p_a")))
    assert sent is pushed


@given(value=st.text(max_size=20).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_whatever_a_value_holds_it_stays_one_parameter(value: str) -> None:
    pairs = query_of("1.5", JobFilter(cluster=StringInput(eq=value)))
    assert pairs == [("start-time", "5-9"), ("items-per-page", "7"), *([("cluster", value)] if value else [])]


# --- isolation


@pytest.mark.parametrize(
    ("release", "root"), [("1.2", "/api"), ("1.3", "/api"), ("1.4", "/userapi"), ("1.5", "/userapi"), ("howto", "/userapi")]
)
def test_an_ordinary_user_is_sent_where_the_site_isolates_users_if_it_does(release: str, root: str) -> None:
    assert DIALECTS[release].root(user_credential("alice")) == root


@pytest.mark.parametrize("release", ["1.2", "1.3"])
@pytest.mark.parametrize("needed", [frozenset(), frozenset({"project"})])
def test_releases_that_isolate_nobody_are_isolated_here(release: str, needed: frozenset[str]) -> None:
    plan = DIALECTS[release].plan(conditions_of([], "here"), needed, user_credential("alice"))
    rows = DIALECTS[release].list_rows(
        recorded(release, "list: all, with metadata (the starting state)"), "here", plan.attributes
    )
    assert {row.user for row in plan.matching(rows)} == {"alice"}
    assert len({row.user for row in rows}) > 1


TEXTS = frozenset(JOB_TEXTS)


@releases
def test_a_text_is_what_the_site_wrote(release: str) -> None:
    case = "list: all, with metadata (the starting state)"
    answer = recorded(release, case)
    sent = {job["id"]: job for job in json.loads(answer.body)["jobs"]}
    for row in DIALECTS[release].list_rows(answer, "aurora", TEXTS):
        job = sent[row.id]
        texts = {name: json.loads(bytes(getattr(row, name))) for name in TEXTS}
        assert texts == {
            "resources_json": job["resources"],
            "footprint_json": job.get("footprint"),
            "meta_data_json": job["metaData"],
            "energy_json": job.get("energy", 0),
            "statistics_json": job["statistics"],
        }


def test_what_is_wanted_both_as_text_and_decoded_is_the_same() -> None:
    answer = recorded("1.5", "list: all, with metadata (the starting state)")
    for row in DIALECTS["1.5"].list_rows(answer, "aurora", TEXTS | {"resources", "footprint", "meta_data", "energy"}):
        assert [one.hostname for one in row.resources] == [one["hostname"] for one in json.loads(bytes(row.resources_json))]
        assert row.footprint == json.loads(bytes(row.footprint_json)) and row.energy == json.loads(bytes(row.energy_json))
        assert row.meta_data == json.loads(bytes(row.meta_data_json))


@releases
def test_metadata_as_text_is_asked_for_as_metadata_is(release: str) -> None:
    plan = DIALECTS[release].plan(Conditions(), frozenset({"meta_data_json"}), ADMIN)
    assert plan.with_metadata
