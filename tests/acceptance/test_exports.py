"""Whole result sets: every job once, in slices, taken up again wherever they were cut; and what is missing is told."""

from __future__ import annotations

import asyncio
import gzip
import random
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from acceptance.conftest import NOW, PATIENT_SITES, UNREMEMBERED, Front, gateway, gateway_over, site
from acceptance.exports import Export, body_of, cut, export, keys_of, read_lines, refusal
from ccgateway.app import Application
from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.simulator.messages import Request, Response
from ccgateway.surfaces import content_coding

pytestmark = pytest.mark.asyncio(loop_scope="module")

RELEASES = ("1.2", "1.3", "1.4", "1.5")
#: jobs by site, cluster, number and start
Known = dict[tuple[str, str, int, int], dict[str, Any]]
LIVING = {"running", "pending", "suspended"}


def in_order(keys: list[tuple[str, str, int, int]]) -> list[tuple[str, str, int, int]]:
    return sorted(keys, key=lambda key: (-key[3], key[0], key[1], key[2]))


def ended(one: SimulatedSite) -> list[tuple[str, str, int, int]]:
    return keys_of([job for job in one.all_jobs() if job["jobState"] not in LIVING], one.name)


@pytest.fixture(scope="module")
def sites() -> list[SimulatedSite]:
    return [site("site" + release.replace(".", ""), release, count=1800) for release in RELEASES]


@pytest.fixture(scope="module")
def known(sites: list[SimulatedSite]) -> Known:
    """The sites' jobs by their keys."""
    return {key: job for one in sites for job, key in zip(one.all_jobs(), keys_of(list(one.all_jobs()), one.name), strict=True)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(sites: list[SimulatedSite]) -> AsyncIterator[Front]:
    async with gateway(*sites) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(front: Front) -> Export:
    return await export(front)


async def test_an_export_is_the_sorted_union_of_what_the_sites_have_that_has_ended(
    whole: Export, sites: list[SimulatedSite]
) -> None:
    wanted = in_order([key for one in sites for key in ended(one)])
    assert whole.keys == wanted and len(wanted) > 7000
    assert whole.end is not None and whole.end["complete"] and whole.end["error"] is None
    assert {one["site"]: one["rows"] for one in whole.end["sites"]} == {one.name: len(ended(one)) for one in sites}


async def test_the_first_record_says_what_was_asked_as_of_when_and_of_whom(front: Front, whole: Export) -> None:
    begin = whole.begin
    assert (begin["export"], begin["version"], begin["policy"]) == ("jobs", 1, "STRICT")
    assert begin["asOf"].endswith("Z") and list(whole.rows[0]) == begin["columns"]
    named = {one["name"]: one["release"] for one in begin["sites"]}
    assert named == {"site" + release.replace(".", ""): release for release in RELEASES}
    asked = await export(front, "site=site15&site=site14&user=alice&format=jsonl&columns=jobId,site")
    assert asked.begin["query"] == {
        "site": ["site15", "site14"], "user": "alice", "format": "jsonl", "columns": "jobId,site",
    }  # fmt: skip
    assert asked.begin["columns"] == ["jobId", "site"]


async def test_values_are_those_that_the_sites_list(whole: Export, known: Known) -> None:
    for key, row in zip(whole.keys, whole.rows, strict=True):
        job = known[key]
        for name in ("user", "project", "subCluster", "jobState", "duration", "numNodes"):
            assert row[name] == job[name], (key, name)


async def test_running_jobs_come_if_they_are_asked_for_and_are_marked(front: Front, known: Known) -> None:
    found = await export(front, "running=true")
    assert found.keys == in_order(list(known))
    marked = {key for key, row in zip(found.keys, found.rows, strict=True) if row["running"]}
    assert marked == {key for key, job in known.items() if job["jobState"] in LIVING} and marked


async def test_a_token_is_good_for_the_sites_only_that_its_export_began_with(front: Front) -> None:
    """Else those that are there no more would be missing, and new ones begin midway, from what says that it is complete."""
    part = await cut(front, "", 900_000)
    parameters = f"resume={part.marks[-1][1]}"
    fewer = dict(list(front.addresses.items())[1:])
    async with gateway_over(fewer) as other:
        status, body = await refusal(other, parameters)
    assert (status, body["code"]) == (400, "INVALID_CURSOR") and "other sites" in body["error"]


@pytest.mark.parametrize(
    ("parameters", "holds"),
    [
        ("user=alice", lambda job: job["user"] == "alice"),
        ("project=p_b&numNodes[from]=2", lambda job: job["project"] == "p_b" and job["numNodes"] >= 2),
        ("state=failed&state=timeout", lambda job: job["jobState"] in ("failed", "timeout")),
        ("start-time=1755000000-1757000000", lambda job: 1_755_000_000 <= job["startTime"] <= 1_757_000_000),
        ("startTime[from]=1759000000", lambda job: job["startTime"] >= 1_759_000_000),
        ("duration=600-3600", lambda job: 600 <= job["duration"] <= 3600),
        ("duration[from]=7200&cluster=site12", lambda job: job["duration"] >= 7200 and job["cluster"] == "site12"),
        ("jobName=job17", lambda job: job["jobId"] == 100_017),
    ],
)
async def test_filters_are_those_of_the_list(front: Front, known: Known, parameters: str, holds: Any) -> None:
    found = await export(front, parameters)
    wanted = [key for key, job in known.items() if job["jobState"] not in LIVING and holds(job)]
    assert found.keys == in_order(wanted) != []


async def test_eight_slices_read_side_by_side_are_disjoint_and_together_everything(front: Front, whole: Export) -> None:
    slices = await asyncio.gather(*(export(front, f"shard={number}/8") for number in range(1, 9)))
    lines = [line for one in slices for line in one.lines]
    assert sorted(lines) == sorted(whole.lines) and len(set(lines)) == len(lines)
    assert min(len(one.lines) for one in slices) > len(lines) / 12


async def test_wherever_an_export_is_cut_the_last_token_gives_exactly_the_rest(front: Front, whole: Export) -> None:
    size, chance = sum(map(len, whole.lines)), random.Random(7)
    for _ in range(6):
        part = await cut(front, "", chance.randrange(1000, size))
        rows, token, total = part.marks[-1] if part.marks else (0, "", 0)
        rest = await export(front, f"resume={token}")
        assert part.lines[:rows] + rest.lines == whole.lines
        assert rest.end is not None and rest.end["complete"] and rest.end["resumedAt"] == rest.begin["resumedAt"] == total == rows
        assert all(mark[2] == total + mark[0] for mark in rest.marks)


async def test_an_export_can_be_cut_again_and_again(front: Front, whole: Export) -> None:
    chance, lines, token = random.Random(11), list[bytes](), ""
    for _ in range(40):
        part = await cut(front, f"resume={token}", chance.randrange(300_000, 1_000_000))
        if part.end is not None:
            lines += part.lines
            break
        if part.marks:
            rows, token, total = part.marks[-1]
            lines += part.lines[:rows]
            assert total == len(lines)
    assert lines == whole.lines


async def test_a_token_is_good_for_its_own_question_only(front: Front) -> None:
    part = await cut(front, "", 900_000)
    token = part.marks[-1][1]
    for parameters in (f"user=alice&resume={token}", f"shard=1/2&resume={token}", f"columns=site&resume={token}", "resume=xyz"):
        status, body = await refusal(front, parameters)
        assert (status, body["code"]) == (400, "INVALID_CURSOR"), parameters
    assert await body_of(front, f"format=csv&resume={token}")  # another format is the same question


@pytest.mark.parametrize(
    "parameters",
    [
        "bogus=1", "format=xml", "columns=nope", "metrics=a%20b", "shard=0/8", "shard=9/8", "shard=x", "shard=1/9999",
        "policy=MAYBE", "state=running", "state=asleep", "duration=5", "duration[from]=-1", "startTime[from]=x", "start-time=7",
        "numNodes[to]=many", "jobId=x", "page=2",
    ],
)  # fmt: skip
async def test_what_cannot_be_exported_is_refused_by_name_before_anything_is_sent(front: Front, parameters: str) -> None:
    status, body = await refusal(front, parameters)
    assert (status, body["code"]) == (400, "BAD_REQUEST")
    assert re.split(r"[=\[]", parameters)[0] in body["error"]


async def test_a_site_that_there_is_not_is_refused(front: Front) -> None:
    assert (await refusal(front, "site=nowhere"))[1]["code"] == "UNKNOWN_SITE"


async def test_only_reading_is_known_there(front: Front) -> None:
    url = front.url.removesuffix("/graphql")
    async with front.session.post(f"{url}/export/jobs") as answer:
        assert answer.status == 405 and "GET" in answer.headers["Allow"]
    async with front.session.get(f"{url}/export/nothing") as answer:
        assert answer.status == 404
    async with front.session.head(f"{url}/export/jobs?site=site15") as answer:
        assert answer.status == 200 and await answer.read() == b""


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_an_export_comes_packed_for_whom_asks_and_is_readable_up_to_where_it_was_cut(
    front: Front, whole: Export, coding: str
) -> None:
    url = front.url.removesuffix("/graphql")
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{url}/export/jobs", headers={"Accept-Encoding": coding}) as answer,
    ):
        assert answer.headers["Content-Encoding"] == coding and "Accept-Encoding" in answer.headers["Vary"]
        packed = await answer.read()
    if coding == "gzip":
        assert read_lines(gzip.decompress(packed)).lines == whole.lines
        import zlib

        part = read_lines(zlib.decompressobj(31).decompress(packed[: len(packed) // 2]))
    else:
        assert read_lines(content_coding.zstd.decompress(packed)).lines == whole.lines  # type: ignore[attr-defined]
        part = read_lines(content_coding.zstd.ZstdDecompressor().decompress(packed[: len(packed) // 2]))  # type: ignore[attr-defined]
    assert part.marks and part.lines == whole.lines[: len(part.lines)] and part.end is None


async def test_metrics_are_the_statistics_that_the_sites_list(front: Front) -> None:
    found = await export(front, "metrics=flops_any,mem_bw&columns=site,cluster,jobId,startTime&site=site12&site=site15")
    base = front.url.removesuffix("/graphql")
    async with front.session.get(f"{base}/api/jobs/?site=site12&site=site15&items_per_page=-1") as answer:
        listed = {(job["site"], job["jobId"]): job["statistics"] for job in (await answer.json())["jobs"]}
    assert list(found.rows[0])[4:] == [f"{name}_{which}" for name in ("flops_any", "mem_bw") for which in ("min", "avg", "max")]
    known = 0
    for row in found.rows:
        statistics = listed[row["site"], row["jobId"]] or {}
        for name in ("flops_any", "mem_bw"):
            for which in ("min", "avg", "max"):
                assert row[f"{name}_{which}"] == (statistics.get(name) or {}).get(which)
                known += row[f"{name}_{which}"] is not None
    assert known > 1000


# --- sites that fail


class FailingSite(SimulatedSite):
    """Answers so many requests, and then fails all of them until it is ``mended``."""

    def __init__(self, *arguments: Any, after: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.after, self.answered = after, 0

    def answer(self, request: Request) -> Response:
        self.answered += 1
        if self.answered == self.after:
            self.faults.status(500)
        return super().answer(request)

    def mended(self) -> None:
        self.after = -1
        self.faults.clear()


def failing(name: str, release: str, after: int) -> FailingSite:
    jobs = GeneratedJobs(9000, cluster=name, seed=3, until=int(NOW))
    return FailingSite(name, release, jobs, after=after, clock=lambda: NOW)


async def mended(front: Front, bad: FailingSite) -> None:
    """Mends the site, and waits until the gateway has seen it."""
    bad.mended()
    answer: dict[str, Any] = {"errors": "not asked"}
    async with asyncio.timeout(60):
        while "errors" in answer or not answer["data"]["jobs"]["complete"]:
            answer = await front.ask("query ($name: String!) { jobs(first: 1, sites: [$name]) { complete } }", name=bad.name)


async def test_strict_ends_with_an_error_that_says_who_is_missing_and_goes_on_once_that_is_there_again() -> None:
    good, bad = site("aurora", "1.5", count=9000), failing("borealis", "1.4", 6)
    async with gateway(good, bad, retries=0) as front:
        part = await export(front)
        assert part.end is not None and not part.end["complete"] and part.lines
        error = part.end["error"]
        assert (error["code"], error["site"]) == ("INCOMPLETE", "borealis") and "borealis" in error["message"]
        (gap,) = [one for one in part.end["sites"] if one["status"] == "FAILED"]
        assert gap["site"] == "borealis" and gap["code"] == "SITE_ERROR"
        await mended(front, bad)
        rest = await export(front, f"resume={part.end['resume']}")
        assert rest.end is not None and rest.end["complete"]
        assert part.lines + rest.lines == (await export(front)).lines


async def test_strict_is_refused_at_once_where_a_site_is_down_from_the_beginning() -> None:
    async with gateway(site("aurora", "1.5"), failing("borealis", "1.4", 1), retries=0) as front:
        status, body = await refusal(front, "")
        assert (status, body["code"]) == (503, "INCOMPLETE") and "borealis" in body["error"]


async def test_partial_goes_on_and_its_end_says_what_is_missing() -> None:
    good, bad = site("aurora", "1.5", count=9000), failing("borealis", "1.4", 6)
    async with gateway(good, bad, retries=0) as front:
        found = await export(front, "policy=PARTIAL")
        assert found.end is not None and found.end["error"] is None and not found.end["complete"]
        states = {one["site"]: one for one in found.end["sites"]}
        assert states["aurora"]["status"] == "OK" and states["borealis"]["status"] == "FAILED"
        assert states["borealis"]["code"] in ("SITE_ERROR", "CIRCUIT_OPEN") and states["borealis"]["rows"] > 0
        assert [key for key in found.keys if key[0] == "aurora"] == in_order(ended(good))
        # what was missing stays missing, for who goes on after that
        await mended(front, bad)
        marks = [token for rows, token, _ in found.marks if rows > len(found.lines) - 3000]
        rest = await export(front, f"policy=PARTIAL&resume={marks[-1]}")
        assert rest.end is not None and not rest.end["complete"]
        assert {one["site"]: one["status"] for one in rest.end["sites"]} == {"aurora": "OK", "borealis": "PARTIAL"}


async def test_partial_waits_for_a_site_that_is_only_slow() -> None:
    slow = site("borealis", "1.4", count=300)
    slow.latency = 0.6
    async with gateway(site("aurora", "1.5", count=300), slow, limits={"patience": 0.05}) as front:
        found = await export(front, "policy=PARTIAL")
        assert found.end is not None and found.end["complete"] and "borealis" in {key[0] for key in found.keys}


async def test_jobs_that_come_and_go_meanwhile_cost_no_other_job_its_place() -> None:
    churning = [site("aurora", "1.4", count=4000), site("borealis", "1.5", count=4000)]
    before = [key for one in churning for key in ended(one)]
    async with gateway(*churning) as front:
        url = front.url.removesuffix("/graphql") + "/export/jobs"
        body, number, chance, gone = b"", 900_000, random.Random(3), set()
        async with front.session.get(url, headers={"Accept-Encoding": "identity"}) as answer:
            async for chunk in answer.content.iter_chunked(1 << 17):
                body += chunk
                for one in churning:
                    number += 1
                    jobs = one.backend.jobs
                    some = jobs.get(chance.randrange(1, 4000))
                    if some is not None:
                        jobs.add(msgspec.structs.replace(some, id=number, job_id=number, start_time=some.start_time + 1))
                        jobs.remove(some.id)
                        gone.add((one.name, some.cluster, some.job_id, some.start_time))
        found = read_lines(body)
        assert found.end is not None and found.end["complete"]
        assert len(set(found.keys)) == len(found.keys) and set(found.keys) >= set(before) - gone
        assert found.keys == in_order(found.keys) and len(gone) > 10


# --- limits and ends


async def test_who_goes_away_leaves_nothing_behind(front: Front) -> None:
    for _ in range(3):
        await cut(front, "", 50_000)
    async with asyncio.timeout(30):
        while any(task.get_name().startswith(("ask ", "request ")) for task in asyncio.all_tasks()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await export(front, "site=site12")).end is not None


async def test_more_exports_of_one_caller_than_the_settings_allow_are_refused() -> None:
    one = site("aurora", "1.5", count=100)
    async with gateway(one) as front:
        one.faults.hang()
        asked = [asyncio.create_task(refusal(front, "")) for _ in range(17)]
        done, others = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        ((status, body),) = [task.result() for task in done]
        assert (status, body["code"]) == (429, "RATE_LIMITED") and "export.streams_per_caller" in body["error"]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        one.faults.clear()
        async with asyncio.timeout(30):
            while (found := await status_of(front)) == 429:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert found == 200


async def status_of(front: Front) -> int:
    async with front.session.get(front.url.removesuffix("/graphql") + "/export/jobs") as answer:
        return answer.status


async def test_a_gateway_that_stops_ends_exports_with_what_they_go_on_with() -> None:
    import uvicorn

    from ccgateway.app import create_app
    from ccgateway.settings import Settings
    from ccgateway.simulator import serve

    one = site("aurora", "1.5", count=20_000)
    async with serve(one) as running:
        section = {"number": 1, "url": running["aurora"].url, "token": one.token("demo"), **PATIENT_SITES}
        settings = Settings.model_validate({"sites": {"aurora": section}, "cache": dict(UNREMEMBERED)})
        app: Application = create_app(settings)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            async with aiohttp.ClientSession() as session:
                front = Front(f"http://127.0.0.1:{port}/graphql", session, running)
                async with session.get(f"http://127.0.0.1:{port}/export/jobs") as answer:
                    body = await answer.content.readany()
                    one.faults.hang()
                    app.stop(1.0)
                    body += await answer.read()
                part = read_lines(body)
                assert part.end is not None and part.end["error"]["code"] == "STOPPING" and part.end["error"]["retryable"]
                assert part.end["resume"] and not part.end["complete"]
                status, refused = await refusal(front, "")
                assert (status, refused["code"]) == (503, "STOPPING")
        finally:
            one.faults.clear()
            server.should_exit = True
            await serving
