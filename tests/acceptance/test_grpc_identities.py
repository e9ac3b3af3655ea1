"""Who sees what by gRPC: what GraphQL shows the same person, on every release, and never more; and who is not let in at all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acceptance.people import PEOPLE, Gate, gateway_for, site_of
from acceptance.test_identities import RELEASES, expected
from ccgateway.identity.ed25519 import mint
from ccgateway.v1 import writes_service_pb2 as writes
from ccgateway.v1.directory_service_pb2 import ListSitesRequest, ListTagsRequest, ListUsersRequest
from ccgateway.v1.directory_service_pb2_grpc import DirectoryServiceStub
from ccgateway.v1.filter_pb2 import JobFilter
from ccgateway.v1.jobs_service_pb2 import (
    CountJobsRequest,
    GetJobByKeyRequest,
    GetJobMetricsRequest,
    GetJobRequest,
    GetStatisticsRequest,
    ListJobsRequest,
    StreamJobMetricsRequest,
)
from ccgateway.v1.jobs_service_pb2_grpc import JobsServiceStub
from ccgateway.v1.statistics_pb2 import STATISTICS_GROUP_USER
from ccgateway.v1.writes_service_pb2_grpc import WritesServiceStub
from support.faces import refused

pytestmark = pytest.mark.asyncio(loop_scope="module")
everybody = pytest.mark.parametrize("name", PEOPLE)
everywhere = pytest.mark.parametrize("release", RELEASES)


@pytest_asyncio.fixture(scope="module", params=["table", "signed"], loop_scope="module")
async def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    sites = {release: site_of(release) for release in RELEASES}
    folder = tmp_path_factory.mktemp(request.param)
    async with gateway_for(*sites.values(), way=request.param, folder=folder, grpc={"port": 0}) as gate:
        assert gate.app.grpc is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{gate.app.grpc.port}") as channel:
            yield gate, sites, channel


class Asker:
    """One person, by gRPC."""

    def __init__(self, channel: grpc.aio.Channel, *metadata: tuple[str, str]) -> None:
        self.metadata = metadata
        self.jobs: Any = JobsServiceStub(channel)
        self.writes: Any = WritesServiceStub(channel)
        self.directory: Any = DirectoryServiceStub(channel)

    async def ids(self, **request: Any) -> list[str]:
        stream = self.jobs.ListJobs(ListJobsRequest(**request), metadata=self.metadata)
        return [job.id async for one in stream for job in one.jobs]


def asker(front: Any, name: str) -> Asker:
    gate, _, channel = front
    return Asker(channel, ("authorization", f"Bearer {gate.token(name, PEOPLE[name])}"))


@everybody
@everywhere
async def test_a_list_and_a_count_show_each_person_what_the_site_would(front: Any, release: str, name: str) -> None:
    _, sites, _ = front
    site, person = sites[release], asker(front, name)
    wanted = expected(site, release, name)
    grouped = person.jobs.GetStatistics(
        GetStatisticsRequest(sites=[site.name], group_by=STATISTICS_GROUP_USER, exact=True), metadata=person.metadata
    )
    if wanted is None:
        for call in (person.jobs.ListJobs(ListJobsRequest(sites=[site.name]), metadata=person.metadata), grouped):
            failure = await refused(call)
            assert failure.reason == "ALL_SITES_FAILED" and failure.causes == ((site.name, "SITE_UNAUTHORIZED"),)
        return
    for size in (7, 500):
        assert {int(one.partition(":")[2]) for one in await person.ids(sites=[site.name], page_size=size)} == wanted
    counted = await person.jobs.CountJobs(CountJobsRequest(sites=[site.name]), metadata=person.metadata)
    assert counted.count == len(wanted)
    users = Counter(job["user"] for job in site.all_jobs() if job["id"] in wanted)
    assert {one.id: one.total_jobs for one in (await grouped).statistics} == users


@everybody
@everywhere
async def test_a_job_is_shown_to_whom_the_list_shows_it_and_else_told_as_one_that_is_not_there(
    front: Any, release: str, name: str
) -> None:
    _, sites, _ = front
    site, person = sites[release], asker(front, name)
    wanted = expected(site, release, name)
    if wanted is None:
        return
    for job in list(site.all_jobs())[:6]:
        ident = f"{site.name}:{job['id']}"
        key = {"cluster": job["cluster"], "job_id": job["jobId"], "site": site.name}
        start = {"seconds": job["startTime"]}
        by_key = person.jobs.GetJobByKey(GetJobByKeyRequest(**key, start_time=start), metadata=person.metadata)
        by_id = person.jobs.GetJob(GetJobRequest(id=ident), metadata=person.metadata)
        metrics = person.jobs.GetJobMetrics(GetJobMetricsRequest(id=ident), metadata=person.metadata)
        stream = person.jobs.StreamJobMetrics(StreamJobMetricsRequest(ids=[ident]), metadata=person.metadata)
        (last,) = [one async for one in stream if one.job_done]
        if job["id"] in wanted:
            assert (await by_id).job.user == (await by_key).job.user == job["user"]
            await metrics
            assert not last.HasField("error") and await person.ids(filters=[JobFilter(ids=[ident])]) == [ident]
            continue
        nowhere = f"{site.name}:777777"
        for call, other in (
            (by_id, person.jobs.GetJob(GetJobRequest(id=nowhere), metadata=person.metadata)),
            (metrics, person.jobs.GetJobMetrics(GetJobMetricsRequest(id=nowhere), metadata=person.metadata)),
        ):
            hidden, unknown = await refused(call), await refused(other)
            assert hidden.reason == "NOT_FOUND"
            assert str(hidden) == str(unknown).replace("777777", str(job["id"]))
        assert (await refused(by_key)).reason == "NOT_FOUND" and last.error.code == "NOT_FOUND" and not last.metrics
        assert await person.ids(filters=[JobFilter(ids=[ident])]) == []


@everybody
async def test_what_graphql_lets_a_person_write_and_read_of_users_grpc_does_and_no_more(front: Any, name: str) -> None:
    gate, sites, _ = front
    person, other = asker(front, name), gate.caller(name)
    for release, site in sites.items():
        if expected(site, release, name) is None:
            continue
        answer = await other.ask("query U($sites: [String!]) { users(sites: $sites) { username } }", sites=[site.name])
        call = person.directory.ListUsers(ListUsersRequest(sites=[site.name]), metadata=person.metadata)
        if "errors" in answer:
            assert (await refused(call)).reason == answer["errors"][0]["extensions"]["code"]
        else:
            assert [one.username for one in (await call).users] == sorted(one["username"] for one in answer["data"]["users"])
        site.backend.changes.effects.clear()
        mutation = "mutation D($id: ID!) { deleteJobs(jobs: [{id: $id}], dryRun: true) { outcome code message } }"
        for number in (1, 2):
            ident = f"{site.name}:{number}"
            told = (await other.ask(mutation, id=ident))["data"]["deleteJobs"][0]
            request = writes.DeleteJobsRequest(jobs=[writes.JobTarget(id=ident)], dry_run=True)
            (result,) = (await person.writes.DeleteJobs(request, metadata=person.metadata)).results
            outcome = writes.WriteOutcome.Name(result.outcome).removeprefix("WRITE_OUTCOME_")
            assert {"outcome": outcome, "code": result.code or None, "message": result.message or None} == told
        assert site.backend.changes.effects == []


# --- who is not let in


def tokens(gate: Gate) -> dict[str, Sequence[tuple[str, str]]]:
    good = gate.token("alice", PEOPLE["alice"])
    forged = mint(Ed25519PrivateKey.generate(), "demo", ("admin",), now=time.time(), lifetime=600).get_secret_value()
    past = mint(gate.key, "demo", ("admin",), now=time.time() - 7200, lifetime=600).get_secret_value()
    head, claims, signature = good.split(".")
    other = gate.token("demo", PEOPLE["demo"])
    return {
        "nothing": (),
        "an empty token": (("authorization", "Bearer "), ("x-auth-token", "")),
        "a forged one": (("authorization", f"Bearer {forged}"),),
        "an old one": (("x-auth-token", past),),
        "another's claims": (("authorization", f"Bearer {head}.{other.split('.')[1]}.{signature}"),),
        "no signature": (("x-auth-token", f"{head}.{claims}."),),
        "two that differ": (("authorization", f"Bearer {good}"), ("x-auth-token", other)),
        "two of a kind": (("authorization", f"Bearer {good}"), ("authorization", f"Bearer {other}")),
        "a word": (("authorization", "Bearer demo"),),
        "another scheme": (("authorization", "Basic ZGVtbzpkZW1v"),),
        "what a proxy says": (("x-forwarded-user", "demo"), ("remote-user", "demo"), ("x-auth-roles", "admin")),
        "a key": (("x-auth-token", "ccg_" + "A" * 43),),
    }


@pytest.mark.parametrize("way", sorted(tokens(Gate("", None, Ed25519PrivateKey.generate(), None))))  # type: ignore[arg-type]
async def test_who_does_not_prove_who_it_is_gets_nothing_and_no_site_is_asked(front: Any, way: str) -> None:
    gate, sites, channel = front
    for site in sites.values():
        site.heard.clear()
    person = Asker(channel, *tokens(gate)[way])
    target = writes.JobTarget(id="site15:1")
    calls = [
        person.jobs.ListJobs(ListJobsRequest(), metadata=person.metadata),
        person.jobs.CountJobs(CountJobsRequest(), metadata=person.metadata),
        person.jobs.GetJob(GetJobRequest(id="site15:1"), metadata=person.metadata),
        person.jobs.GetJobMetrics(GetJobMetricsRequest(id="site15:1"), metadata=person.metadata),
        person.jobs.StreamJobMetrics(StreamJobMetricsRequest(ids=["site15:1"]), metadata=person.metadata),
        person.directory.ListSites(ListSitesRequest(), metadata=person.metadata),
        person.directory.ListUsers(ListUsersRequest(), metadata=person.metadata),
        person.directory.ListTags(ListTagsRequest(), metadata=person.metadata),
        person.writes.DeleteJobs(writes.DeleteJobsRequest(jobs=[target]), metadata=person.metadata),
    ]
    for call in calls:
        failure = await refused(call)
        assert (failure.status, failure.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        assert "demo" not in failure.message
    assert not any(site.heard for site in sites.values())


async def test_either_header_is_taken_and_the_same_token_twice(front: Any) -> None:
    gate, _, channel = front
    token = gate.token("alice", PEOPLE["alice"])
    seen = [
        await Asker(channel, *metadata).ids(limit=5)
        for metadata in (
            (("authorization", f"Bearer {token}"),),
            (("authorization", f"bearer {token}"),),
            (("x-auth-token", token),),
            (("authorization", f"Bearer {token}"), ("x-auth-token", token)),
        )
    ]
    assert seen[0] and all(one == seen[0] for one in seen)
