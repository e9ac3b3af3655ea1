"""Reports from end to end: client and commands, over a real gateway and four sites of four releases."""

from __future__ import annotations

import asyncio
import csv
import json
import random
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from acceptance.exports import Export, read_csv, read_lines
from ccgateway.client import AsyncGateway, Gateway, GatewayError, Incomplete, sending
from commands.conftest import Run, ask, run
from support.served import RELEASES, Between, Fate, Served, between, cut, passed, served, site_of, status

__all__ = ["ask", "run"]

JOBS = 1600
LIVING = {"running", "pending", "suspended"}


@pytest.fixture(scope="module")
def front() -> Iterator[Served]:
    with served(*(site_of(name, jobs=JOBS) for name in RELEASES), export={"streams_per_caller": 2}) as running:
        yield running


@pytest.fixture
def proxy(front: Served) -> Iterator[Between]:
    with between(front.url) as standing:
        yield standing


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent again is sent again soon."""
    monkeypatch.setattr(sending, "PAUSES", (0.01, 0.05))


def body(front: Served, path: str) -> bytes:
    """What the gateway itself answers."""
    with urllib.request.urlopen(f"{front.url}/export/{path}", timeout=120) as answer:
        found: bytes = answer.read()
        return found


@pytest.fixture(scope="module")
def whole(front: Served) -> Export:
    found = read_lines(body(front, "jobs"))
    assert found.end is not None and found.end["complete"] and len(found.marks) >= 2
    return found


def failing(*names: str, front: Served) -> None:
    for name in names:
        front.sites[name].site.faults.status(500)


# --- all of it


def test_the_list_has_every_job_of_every_site_and_the_export_those_that_have_ended(front: Served, whole: Export) -> None:
    known = {name: list(one.site.all_jobs()) for name, one in front.sites.items()}
    with Gateway(front.url) as gateway:
        listed = [(job.site, job.job_id) for job in gateway.jobs(page_size=1000)]
        assert gateway.count() == len(listed) == len(set(listed)) == JOBS * len(known)
        exported = [(row["site"], row["jobId"]) for row in gateway.export()]
    assert set(listed) == {(name, job["jobId"]) for name, jobs in known.items() for job in jobs}
    ended = {(name, job["jobId"]) for name, jobs in known.items() for job in jobs if job["jobState"] not in LIVING}
    assert set(exported) == ended and exported == [one for one in listed if one in ended]
    assert len(exported) == len(whole.lines)


async def test_both_clients_give_the_rows_that_the_gateway_gives(front: Served, whole: Export) -> None:
    with Gateway(front.url) as gateway:
        found = gateway.export()
        assert list(found) == whole.rows and found.end is not None and found.end.complete
    async with AsyncGateway(front.url) as other:
        assert [row async for row in other.export()] == whole.rows


def test_the_command_writes_them_in_all_three_formats(ask: Run, front: Served, whole: Export, tmp_path: Path) -> None:
    columns = "site,jobId,user,startTime,energy,jobName,tags,resources"
    for name in ("jobs.jsonl", "jobs.csv", "jobs.parquet"):
        done = ask("export", name, "--columns", columns)
        assert (done.status, done.stderr) == (0, f"{name}: {len(whole.lines)} jobs\n")
    rows = read_lines(body(front, f"jobs?columns={columns}")).rows
    assert [json.loads(line) for line in (tmp_path / "jobs.jsonl").open()] == rows
    header, cells, _ = read_csv(body(front, f"jobs?columns={columns}&format=csv"))
    head, *written = csv.reader((tmp_path / "jobs.csv").open(newline=""))
    assert head == header and written == cells
    assert pq.read_table(tmp_path / "jobs.parquet").to_pylist() == rows
    assert not list(tmp_path.glob("*.part*"))


def test_shards_read_one_after_the_other_are_all_of_it(ask: Run, whole: Export, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        assert ask("export", f"{number}.jsonl", "--shard", f"{number}/3").status == 0
    lines = [line for number in (1, 2, 3) for line in (tmp_path / f"{number}.jsonl").read_bytes().splitlines(keepends=True)]
    assert sorted(lines) == sorted(whole.lines)


async def test_usage_is_the_sum_of_the_rows(ask: Run, front: Served, whole: Export) -> None:
    sums: dict[tuple[str, str], list[float]] = {}
    for row in whole.rows:
        one = sums.setdefault((row["site"], row["user"]), [0, 0.0])
        one[0] += 1
        one[1] += row["numNodes"] * row["duration"]
    wanted = {key: (jobs, seconds / 3600) for key, (jobs, seconds) in sums.items()}
    done = ask("usage", "--by", "site", "--by", "user", "--period", "all")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.status == 0 and {(row["site"], row["user"]): (row["jobs"], row["nodeHours"]) for row in rows} == wanted
    async with AsyncGateway(front.url) as gateway:
        assert [row async for row in gateway.usage(["site", "user"], period="all")] == rows
    with Gateway(front.url) as other:
        assert list(other.usage(["site", "user"], period="all")) == rows


# --- what breaks on the way


def cuts_in(size: int, seed: int) -> list[Fate]:
    chance = random.Random(seed)
    return [cut(chance.randrange(1, size // 2)) for _ in range(5)]


async def test_a_connection_that_is_cut_ten_times_costs_no_byte(front: Served, whole: Export, proxy: Between) -> None:
    size = sum(map(len, whole.lines))
    with Gateway(proxy.url, retries=10) as gateway:
        proxy.fates[:] = cuts_in(size, 1)
        while proxy.fates:
            assert [line for batch in gateway.export().batches() for line in batch.lines] == whole.lines
    assert sum("resume=" in path for _, path, _ in proxy.requests) >= 2
    async with AsyncGateway(proxy.url, retries=10) as other:
        proxy.fates[:] = cuts_in(size, 2)
        while proxy.fates:
            assert [line async for batch in other.export().batches() for line in batch.lines] == whole.lines


@pytest.mark.parametrize("name", ["jobs.jsonl", "jobs.csv"])
def test_the_command_goes_on_through_cuts(run: Run, whole: Export, proxy: Between, tmp_path: Path, name: str) -> None:
    assert run("export", f"whole-{name}", "--url", proxy.url).status == 0
    proxy.fates[:] = [cut(900_000), cut(400), cut(700_000), cut(0)]
    assert run("export", name, "--url", proxy.url).status == 0 and not proxy.fates
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    if name.endswith("jsonl"):
        assert (tmp_path / name).read_bytes() == b"".join(whole.lines)


def test_parquet_that_is_cut_is_begun_anew_and_nothing_of_it_is_left(
    run: Run, whole: Export, proxy: Between, tmp_path: Path
) -> None:
    proxy.fates[:] = [cut(50_000)]
    broken = run("export", "jobs.parquet", "--url", proxy.url)
    assert broken.status == 1 and "jobs.parquet.part is only a part, from which nothing goes on" in broken.stderr
    assert not (tmp_path / "jobs.parquet").exists()
    assert run("export", "jobs.parquet", "--url", proxy.url).status == 0
    assert pq.read_table(tmp_path / "jobs.parquet").num_rows == len(whole.lines)


async def test_who_has_too_many_exports_waits_as_long_as_the_gateway_says(
    ask: Run, front: Served, whole: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sites = [one.site for one in front.sites.values()]
    await asyncio.sleep(1.2)  # what other tests have read a moment ago is remembered for a second, and takes no time
    for one in sites:
        one.latency = 1.0  # so that those that are held go on for a while
    with Gateway(front.url) as gateway:
        held = [gateway.export().batches() for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(next, held))
        for one in sites:
            one.latency = 60.0

        def let_go(seconds: float) -> None:
            waits.append(seconds)
            for site in sites:
                site.latency = 0.0
            for export in held:
                export.close()  # type: ignore[attr-defined]

        with monkeypatch.context() as patch:
            patch.setattr("time.sleep", let_go)
            try:
                assert sum(len(batch.lines) for batch in gateway.export().batches()) == len(whole.lines)
            finally:
                for site in sites:
                    site.latency = 0.0
    assert waits and waits[0] >= 2.0  # what Retry-After said
    assert ask("export", "-", "--shard", "1/2").status == 0


def test_orders_whose_answers_are_lost_are_carried_out_once(run: Run, front: Served, proxy: Between) -> None:
    with Gateway(front.url) as gateway:
        ids = [next(iter(gateway.jobs(site=name, state="completed", limit=1))).id for name in front.sites]
        proxy.fates[:] = [cut(20), passed]
        done = run("tag", "review:once", *ids, "--url", proxy.url, "-o", "json")
        assert done.status == 0 and [row["outcome"] for row in json.loads(done.stdout)] == ["DONE"] * len(ids)
        sent = [json.loads(text)["variables"]["idempotencyKey"] for _, _, text in proxy.requests]
        assert len(sent) == 2 and sent[0] == sent[1]
        assert sorted(job.id for job in gateway.jobs(tag="review:once")) == sorted(ids)
        # the same order again, by its key: the same outcomes, though nothing is left to do
        first = run("tag", "review:twice", *ids, "--idempotency-key", "k1", "--url", proxy.url, "-o", "json").stdout
        assert run("tag", "review:twice", *ids, "--idempotency-key", "k1", "--url", proxy.url, "-o", "json").stdout == first
        other = run("tag", "review:other", *ids, "--idempotency-key", "k1", "--url", proxy.url)
        assert other.status == 1 and "CONFLICT: This idempotency key was used for another request" in other.stderr


# --- a site that is down


def test_strict_is_status_3_from_the_first_row_on_and_says_what_to_do(ask: Run, front: Served, tmp_path: Path) -> None:
    with front.down("draco"):
        for arguments in (("export", "jobs.jsonl"), ("export", "jobs.csv"), ("export", "jobs.parquet"), ("usage", "usage.csv")):
            done = ask(*arguments)
            assert done.status == 3, done
            assert "draco" in done.stderr and "--partial" in done.stderr, done
            assert re.search("UNREACHABLE|CIRCUIT_OPEN", done.stderr)
        assert not list(tmp_path.iterdir())
        with Gateway(front.url, retries=0) as gateway:
            with pytest.raises(Incomplete) as refused:
                list(gateway.export())
            assert [gap.site for gap in refused.value.missing] == ["draco"]
            with pytest.raises(Incomplete):
                list(gateway.jobs())


def test_partial_is_status_3_too_and_its_end_says_what_is_missing(ask: Run, front: Served, whole: Export, tmp_path: Path) -> None:
    with front.down("draco"):
        for name in ("jobs.jsonl", "jobs.csv", "jobs.parquet"):
            done = ask("export", name, "--partial")
            assert done.status == 3 and f"{name}: " in done.stderr and "but not all" in done.stderr
            assert re.search("missing: draco: (UNREACHABLE|CIRCUIT_OPEN)", done.stderr)
        with Gateway(front.url) as gateway:
            found = gateway.export(partial=True)
            rows = list(found)
            assert found.end is not None and not found.end.complete and [gap.site for gap in found.end.missing] == ["draco"]
    assert rows == [row for row in whole.rows if row["site"] != "draco"]
    assert [json.loads(line) for line in (tmp_path / "jobs.jsonl").open()] == rows
    assert pq.read_table(tmp_path / "jobs.parquet").num_rows == len(rows)


def test_a_site_that_fails_on_the_way_ends_a_strict_export_which_goes_on_when_it_is_back(
    ask: Run, front: Served, whole: Export, proxy: Between, tmp_path: Path
) -> None:
    site = front.sites["cygnus"].site
    with Gateway(front.url, retries=0) as gateway:
        batches = gateway.export().batches()
        first = next(batches)
        try:
            site.faults.status(403)
            with pytest.raises(GatewayError) as ended:
                first.lines.extend(line for batch in batches for line in batch.lines)
        finally:
            site.faults.clear()
        assert isinstance(ended.value, Incomplete) and "cygnus" in str(ended.value) and ended.value.after is not None
        rest = gateway.export().batches(resume=ended.value.after, rows=len(first.lines))
        assert first.lines + [line for batch in rest for line in batch.lines] == whole.lines


def test_a_gateway_that_is_busy_is_waited_for(run: Run, whole: Export, proxy: Between, tmp_path: Path) -> None:
    proxy.fates[:] = [status(503, Retry_After="1"), status(429, Retry_After="1")]
    assert run("export", "jobs.jsonl", "--url", proxy.url).status == 0
    assert (tmp_path / "jobs.jsonl").read_bytes() == b"".join(whole.lines)
