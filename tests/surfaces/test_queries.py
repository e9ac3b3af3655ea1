"""Root fields: what they ask the gateway, and how its answers show."""

from __future__ import annotations

from typing import Any

import pytest

from ccgateway.errors import Code, FederationError, SiteError
from ccgateway.federation.questions import JobListQuestion, PageRequest, Policy
from ccgateway.jobs import clusters, filters
from ccgateway.jobs.filters import JobOrder
from surfaces.conftest import Ask
from surfaces.fakes import FakeGateway, make_cluster, make_row, make_status, make_user


async def asked(
    ask: Ask, gateway: FakeGateway, arguments: str, variables: dict[str, Any] | None = None, head: str = ""
) -> JobListQuestion:
    answer = await ask(f"query{head} {{ jobs{arguments} {{ complete }} }}", variables)
    assert "errors" not in answer, answer
    question: JobListQuestion = gateway.questions[-1]
    return question


class TestJobs:
    async def test_without_arguments_the_newest_50_of_all_sites(self, ask: Ask, gateway: FakeGateway) -> None:
        question = await asked(ask, gateway, "")
        assert question == JobListQuestion(first=50, order=JobOrder("startTime", "col", "DESC"), policy=Policy.PARTIAL)

    async def test_every_argument_arrives(self, ask: Ask, gateway: FakeGateway) -> None:
        question = await asked(
            ask,
            gateway,
            '(first: 7, after: "c", sites: ["a", "b"], policy: STRICT, filter: {schedule: "batch"}, '
            'order: {field: "duration", order: DESC})',
        )
        assert question == JobListQuestion(
            first=7,
            after="c",
            sites=["a", "b"],
            policy=Policy.STRICT,
            order=JobOrder("duration", "col", "DESC"),
            filters=(filters.JobFilter(schedule="batch"),),
        )

    @pytest.mark.parametrize(
        ("shown", "wants_jobs"),
        [("count", False), ("count complete sites { site calls }", False), ("count items { id }", True), ("complete", True),
         ("count pageInfo { hasNextPage }", True), ("count hasNextPage", True), ("count sites { returned }", True)],
    )  # fmt: skip
    async def test_where_only_the_count_is_shown_no_jobs_are_wanted(
        self, ask: Ask, gateway: FakeGateway, shown: str, wants_jobs: bool
    ) -> None:
        assert "errors" not in await ask(f"{{ jobs {{ {shown} }} }}")
        assert gateway.questions[-1].wants_jobs is wants_jobs

    async def test_an_order_without_direction_is_ascending(self, ask: Ask, gateway: FakeGateway) -> None:
        question = await asked(ask, gateway, '(order: {field: "flops_any_avg", type: "foot"})')
        assert question.order == JobOrder("flops_any_avg", "foot", "ASC")

    async def test_a_cursor_alone_reads_50_more(self, ask: Ask, gateway: FakeGateway) -> None:
        question = await asked(ask, gateway, '(after: "c")')
        assert (question.first, question.after) == (50, "c")

    async def test_a_numbered_page_is_passed_on(self, ask: Ask, gateway: FakeGateway) -> None:
        question = await asked(ask, gateway, "(page: {itemsPerPage: 25, page: 3})")
        assert (question.page, question.first) == (PageRequest(3, 25), None)

    async def test_page_and_cursor_together_are_refused(self, ask: Ask) -> None:
        answer = await ask('{ jobs(page: {itemsPerPage: 2, page: 1}, after: "c") { complete } }')
        assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert answer["data"] is None

    async def test_every_filter_field_becomes_its_value(self, ask: Ask, gateway: FakeGateway) -> None:
        text = {"eq": "a", "neq": "b", "contains": "c", "startsWith": "d", "endsWith": "e", "in": ["f", "g"]}
        value = filters.StringInput(eq="a", neq="b", contains="c", starts_with="d", ends_with="e", in_=("f", "g"))
        given_span = {"from": 1, "to": 2}
        given = {
            **dict.fromkeys(("jobId", "user", "project", "jobName", "cluster", "subCluster", "partition", "node"), text),
            **dict.fromkeys(("duration", "numNodes", "numAccelerators", "numHWThreads"), given_span),
            "tags": ["global/app/x", 7],
            "dbId": ["aurora:1"],
            "arrayJobId": 5,
            "energy": {"from": 0.5},
            "startTime": {"range": "last7d", "from": "2024-06-01T14:00:00+02:00", "to": ""},
            "state": ["running", "node_fail"],
            "metricStats": [{"metricName": "flops_any_avg", "range": {"to": 2.5}}],
            "shared": "none",
            "schedule": "batch",
        }
        question = await asked(ask, gateway, "(filter: $f)", {"f": [given, {}]}, "($f: [JobFilter!])")
        span = filters.IntRange(1, 2)
        assert question.filters == (
            filters.JobFilter(
                job_id=value, user=value, project=value, job_name=value, cluster=value, sub_cluster=value,
                partition=value, node=value,
                duration=span, num_nodes=span, num_accelerators=span, num_hw_threads=span,
                tags=("global/app/x", "7"), db_id=("aurora:1",), array_job_id=5, energy=filters.FloatRange(0.5, None),
                start_time=filters.TimeRange(1_717_243_200, None, "last7d"), state=("running", "node_fail"),
                metric_stats=(filters.MetricStat("flops_any_avg", filters.FloatRange(None, 2.5)),), shared="none",
                schedule="batch",
            ),
            filters.JobFilter(),
        )  # fmt: skip

    @pytest.mark.parametrize(
        "arguments",
        [
            "",
            "(filter: null)",
            "(filter: [])",
            "(filter: {user: null})",
            "(filter: {startTime: null, state: null, duration: null})",
        ],
    )
    async def test_null_restricts_nothing(self, ask: Ask, gateway: FakeGateway, arguments: str) -> None:
        question = await asked(ask, gateway, arguments)
        assert all(one == filters.JobFilter() for one in question.filters)

    async def test_an_empty_list_stays_a_restriction(self, ask: Ask, gateway: FakeGateway) -> None:
        question = await asked(ask, gateway, "(filter: {state: [], tags: [], dbId: [], user: {in: []}, metricStats: []})")
        assert question.filters == (
            filters.JobFilter(state=(), tags=(), db_id=(), user=filters.StringInput(in_=()), metric_stats=()),
        )

    async def test_states_may_be_words_or_texts_and_one_or_many(self, ask: Ask, gateway: FakeGateway) -> None:
        for text in ("running", '"running"', "[running]", '["running"]'):
            assert (await asked(ask, gateway, f"(filter: {{state: {text}}})")).filters[0].state == ("running",)

    async def test_a_count_is_asked_for_only_if_shown(self, ask: Ask, gateway: FakeGateway) -> None:
        assert (await ask("{ jobs { n: count @include(if: true) } }"))["data"] == {"jobs": {"n": 42}}
        assert gateway.questions[-1].wants_count
        assert (await ask("{ jobs { complete n: count @skip(if: true) } }"))["data"] == {"jobs": {"complete": True}}
        assert not gateway.questions[-1].wants_count

    async def test_a_page_shows_its_jobs_cursor_and_reports(self, ask: Ask, gateway: FakeGateway) -> None:
        gateway.has_next_page = True
        answer = await ask(
            "{ jobs { items { id } hasNextPage pageInfo { endCursor hasNextPage } complete offset limit "
            "sites { site number status } } }"
        )
        assert answer == {
            "data": {
                "jobs": {
                    "items": [{"id": "aurora:1"}, {"id": "aurora:2"}],
                    "hasNextPage": True,
                    "pageInfo": {"endCursor": "cursor", "hasNextPage": True},
                    "complete": True,
                    "offset": None,
                    "limit": None,
                    "sites": [{"site": "aurora", "number": 1, "status": "OK"}],
                }
            }
        }


class TestEverything:
    async def test_minus_one_asks_for_everything(self, ask: Ask, gateway: FakeGateway) -> None:
        answer = await ask("{ jobs(page: {itemsPerPage: -1, page: 9}) { complete } }", page_jobs=30)
        assert gateway.questions[-1].page == PageRequest(9, -1)
        assert "errors" not in answer


class TestJob:
    async def test_all_fields_of_a_job(self, ask: Ask) -> None:
        answer = await ask(
            """{ job(id: "aurora:1") { id site key { site cluster jobId startTime } jobId user project cluster subCluster
                 startTime duration walltime numNodes numHWThreads numAcc energy SMT shared partition arrayJobId
                 monitoringStatus state tags { id type name scope } resources { hostname hwthreads accelerators configuration }
                 concurrentJobs { count } footprint { name stat value } energyFootprint { metric } metaData
                 userData { site username name email roles projects } } }"""
        )
        assert answer == {
            "data": {
                "job": {
                    "id": "aurora:1", "site": "aurora", "jobId": 1_000_001, "user": "alice", "project": "proj",
                    "cluster": "alex",
                    "key": {"site": "aurora", "cluster": "alex", "jobId": 1_000_001, "startTime": "2023-11-14T22:12:20Z"},
                    "subCluster": "a40", "startTime": "2023-11-14T22:12:20Z", "duration": 3600, "walltime": 86_400, "numNodes": 2,
                    "numHWThreads": 128, "numAcc": 8, "energy": 1.5, "SMT": 1, "shared": "none", "partition": "gpu",
                    "arrayJobId": 0, "monitoringStatus": 3, "state": "completed", "concurrentJobs": None, "energyFootprint": None,
                    "tags": [{"id": "global/app/gromacs", "type": "app", "name": "gromacs", "scope": "global"}],
                    "resources": [
                        {"hostname": "a0001", "hwthreads": [0, 1], "accelerators": ["0000:01:00.0"], "configuration": None},
                        {"hostname": "a0002", "hwthreads": None, "accelerators": None, "configuration": None},
                    ],
                    "footprint": [
                        {"name": "flops_any", "stat": "avg", "value": 12.5},
                        {"name": "odd", "stat": "", "value": 1.0},
                    ],
                    "metaData": {"jobName": "run", "jobScript": "#!/bin/sh"},
                    "userData": {
                        "site": "aurora", "username": "alice", "name": "Alice A.", "email": "alice@example.org",
                        "roles": ["user"], "projects": ["proj"],
                    },
                }
            }
        }  # fmt: skip

    async def test_what_a_site_leaves_out_is_empty_or_null(self, ask: Ask, gateway: FakeGateway) -> None:
        gateway.rows = [make_row(1, tags=None, resources=None, footprint=None, meta_data=None)]
        answer = await ask('{ job(id: "aurora:1") { tags { id } resources { hostname } footprint { name } metaData } }')
        assert answer == {"data": {"job": {"tags": [], "resources": [], "footprint": None, "metaData": None}}}

    async def test_integers_of_64_bits_pass(self, ask: Ask, gateway: FakeGateway) -> None:
        big = 1 << 62
        gateway.rows = [make_row(1, job_id=big, array_job_id=big, walltime=big)]
        answer = await ask('{ job(id: "aurora:1") { jobId arrayJobId walltime key { jobId } } }')
        assert answer == {"data": {"job": {"jobId": big, "arrayJobId": big, "walltime": big, "key": {"jobId": big}}}}

    async def test_a_job_that_is_not_there_is_null_with_an_error(self, ask: Ask) -> None:
        answer = await ask('{ job(id: "aurora:99") { id } }')
        assert answer["data"] == {"job": None}
        assert answer["errors"][0]["extensions"] == {"code": "NOT_FOUND", "retryable": False, "site": "aurora"}

    async def test_the_fields_asked_for_are_the_ones_shown(self, ask: Ask, gateway: FakeGateway) -> None:
        await ask('query { job(id: "aurora:1") { ...F } } fragment F on Job { state SMT }')
        assert gateway.questions == [("aurora:1", frozenset({"state", "smt"}))]

    @pytest.mark.parametrize("number", ["9007199254740993", '"9007199254740993"'])
    async def test_a_key_takes_large_numbers_also_as_text(self, ask: Ask, gateway: FakeGateway, number: str) -> None:
        await ask(
            f'{{ jobByKey(cluster: "alex", jobId: {number}, startTime: "2023-11-14 22:12:20", site: "aurora") {{ user }} }}'
        )
        assert gateway.questions == [("alex", 9007199254740993, 1_699_999_940, "aurora", frozenset({"user"}))]

    async def test_a_key_without_time_and_site(self, ask: Ask, gateway: FakeGateway) -> None:
        await ask('{ jobByKey(cluster: "alex", jobId: 5, startTime: "") { user } }')
        assert gateway.questions == [("alex", 5, None, None, frozenset({"user"}))]


class TestUserData:
    async def test_one_look_at_each_sites_list_serves_all_jobs(self, ask: Ask, gateway: FakeGateway) -> None:
        gateway.rows = [make_row(i, site) for i in range(1, 30) for site in ("aurora", "borealis")]
        gateway.accounts = [make_user("alice", "aurora"), make_user("bob", "borealis")]
        answer = await ask("{ jobs { items { site userData { username } } } more: jobs { items { userData { username } } } }")
        assert {(row["site"], str(row["userData"])) for row in answer["data"]["jobs"]["items"]} == {
            ("aurora", "{'username': 'alice'}"),
            ("borealis", "None"),  # alice has no account there
        }
        assert [question for question in gateway.questions if isinstance(question, tuple)] == [
            ("aurora", ("alice",)),
            ("borealis", ("alice",)),
        ]
        assert "errors" not in answer

    async def test_a_list_that_may_not_be_read_is_one_error_and_nulls(self, ask: Ask, gateway: FakeGateway) -> None:
        cause = SiteError(Code.SITE_REFUSED, "aurora", "only administrators may list users")
        gateway.users_fault = FederationError(Code.ALL_SITES_FAILED, "no site answered", [cause])
        answer = await ask("{ jobs { items { id userData { username } } } }")
        assert answer["data"]["jobs"]["items"] == [{"id": "aurora:1", "userData": None}, {"id": "aurora:2", "userData": None}]
        assert [entry["extensions"]["code"] for entry in answer["errors"]] == ["ALL_SITES_FAILED", "SITE_REFUSED"]
        assert answer["errors"][0]["path"] == ["jobs", "items", 0, "userData"]


class TestClusters:
    async def test_partitions_are_asked_for_only_if_shown(self, ask: Ask, gateway: FakeGateway) -> None:
        await ask('{ clusters(sites: ["aurora"], policy: STRICT) { name } }')
        await ask("{ clusters { ...F } } fragment F on Cluster { p: partitions }")
        assert gateway.questions == [(["aurora"], Policy.STRICT, False), (None, Policy.PARTIAL, True)]

    async def test_old_releases_metrics_are_worked_out_for_each_sub_cluster(self, ask: Ask) -> None:
        answer = await ask(
            """{ clusters { site name partitions metricConfig { name peak subClusters { name peak remove } }
                 subClusters { name numberOfNodes footprint
                   metricConfig { name peak normal caution alert subClusters { name } } } } }"""
        )
        flops = {"name": "flops_any", "normal": 50.0, "caution": 10.0, "subClusters": []}
        ib = {"name": "ib_recv", "peak": 8.0, "normal": None, "caution": 2.0, "alert": 1.0, "subClusters": []}
        assert answer["data"]["clusters"] == [
            {
                "site": "aurora",
                "name": "alex",
                "partitions": [],
                "metricConfig": [
                    {"name": "flops_any", "peak": 100.0, "subClusters": [{"name": "a100", "peak": 200.0, "remove": None}]},
                    {"name": "ib_recv", "peak": 8.0, "subClusters": [{"name": "a100", "peak": None, "remove": True}]},
                ],
                "subClusters": [
                    {
                        "name": "a40",
                        "numberOfNodes": 4,
                        "footprint": [],
                        "metricConfig": [{**flops, "peak": 100.0, "alert": 5.0}, ib],
                    },
                    {
                        "name": "a100",
                        "numberOfNodes": 3,
                        "footprint": [],
                        "metricConfig": [{**flops, "peak": 200.0, "alert": 7.0}],
                    },
                ],
            }
        ]

    async def test_newer_releases_metrics_are_shown_as_they_are(self, ask: Ask, gateway: FakeGateway) -> None:
        own = clusters.SubCluster("a40", "a1", metric_config=[clusters.MetricConfig("own", peak=1.0)], footprint=["own"])
        none = clusters.SubCluster("a41", "a2", metric_config=[])
        gateway.lists = [make_cluster(sub_clusters=[own, none])]
        answer = await ask("{ clusters { subClusters { name footprint metricConfig { name } } } }")
        assert answer["data"]["clusters"][0]["subClusters"] == [
            {"name": "a40", "footprint": ["own"], "metricConfig": [{"name": "own"}]},
            {"name": "a41", "footprint": [], "metricConfig": []},
        ]

    async def test_topology_may_have_holes(self, ask: Ask, gateway: FakeGateway) -> None:
        topology = clusters.Topology(node=[0, 1], die=[None, [1]], accelerators=[clusters.Accelerator("0", "GPU", "A40")])
        gateway.lists = [make_cluster(sub_clusters=[clusters.SubCluster("a", topology=topology)])]
        answer = await ask("{ clusters { subClusters { topology { node socket die accelerators { id type model } } } } }")
        assert answer["data"]["clusters"][0]["subClusters"][0]["topology"] == {
            "node": [0, 1], "socket": None, "die": [None, [1]], "accelerators": [{"id": "0", "type": "GPU", "model": "A40"}],
        }  # fmt: skip


async def test_users_come_with_their_site(ask: Ask, gateway: FakeGateway) -> None:
    answer = await ask('{ users(sites: ["aurora"], policy: STRICT) { site username name email roles projects } }')
    assert answer["data"]["users"] == [
        {
            "site": "aurora", "username": "alice", "name": "Alice A.", "email": "alice@example.org", "roles": ["user"],
            "projects": ["proj"],
        }
    ]  # fmt: skip
    assert gateway.questions == [(["aurora"], Policy.STRICT)]


async def test_sites_show_what_they_are_and_their_newest_failure(ask: Ask, gateway: FakeGateway) -> None:
    error = SiteError(Code.TIMEOUT, "borealis", "no answer within 10 s")
    gateway.statuses = [
        make_status(),
        make_status(
            "borealis", release=None, reachable=False, elapsed=None, last_error=error, last_error_at=60.9, same_as="aurora"
        ),
    ]
    answer = await ask(
        """{ sites(names: ["aurora", "borealis"]) { name number release configuredRelease required reachable since elapsed
             capabilities              sameAs lastError { code message at retryable } } }"""
    )
    same = {
        "number": 1,
        "configuredRelease": "auto",
        "required": False,
        "since": "2023-11-14T22:13:20Z",
        "capabilities": ["clusters"],
    }
    failure = {"code": "TIMEOUT", "message": "no answer within 10 s", "at": "1970-01-01T00:01:00Z", "retryable": True}
    assert answer["data"]["sites"] == [
        {**same, "name": "aurora", "release": "1.5", "reachable": True, "elapsed": 0.01, "sameAs": None, "lastError": None},
        {
            **same,
            "name": "borealis",
            "release": None,
            "reachable": False,
            "elapsed": None,
            "sameAs": "aurora",
            "lastError": failure,
        },
    ]
    assert gateway.questions == [["aurora", "borealis"]]
