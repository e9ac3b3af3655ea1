"""The same export as CSV and Parquet, read by what people read them with; hostile texts harm nobody; hours are sums of rows."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import re
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import duckdb
import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from acceptance.conftest import NOW, Front, gateway, gateway_over, site
from acceptance.exports import body_of, export, read_csv, refusal
from acceptance.test_exports import RELEASES, FailingSite, ended, failing
from ccgateway.simulator import SimulatedSite

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = (
    '=HYPERLINK("http://evil.example","x")', "+1+1", "-2+3", "@SUM(A1)", "\tcmd", "\rcmd", "#comment", 'a\n# {"end":true}',
    "a\r\n#b", 'quotes " and \'', "comma, semicolon; pipe|", "line\nend", "  spaces  ", "ünïcödé 🚀 \u202e", "", "null", "nan",
    "1e5", "\\", "{}", "\n=1+1", "\uff1d1+1", "\uff20SUM(A1)", "\uff0d2", "x;=1+1", "x\t@SUM(A1)",
)  # fmt: skip


def queried(query: str) -> Any:
    """What DuckDB makes of a query."""
    return duckdb.sql(query)


def hostile_site(release: str) -> SimulatedSite:
    jobs = [
        {
            "id": number, "jobId": 500 + number, "user": "alice", "project": text.strip() or "p",
            "cluster": "odd", "subCluster": "main",
            "numNodes": 1, "startTime": int(NOW) - 90_000 - number, "duration": 600, "walltime": 3600, "jobState": "completed",
            "resources": [{"hostname": "odd001"}], "metaData": {"jobName": text, "note": "x"},
        }
        for number, text in enumerate(HOSTILE, 1)
    ]  # fmt: skip
    return SimulatedSite(f"odd{release.replace('.', '')}", release, jobs, clock=lambda: NOW)


@pytest.fixture(scope="module")
def sites() -> list[SimulatedSite]:
    return [site("site" + release.replace(".", ""), release, count=400) for release in RELEASES]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(sites: list[SimulatedSite]) -> AsyncIterator[Front]:
    async with gateway(*sites) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def odd() -> AsyncIterator[Front]:
    async with gateway(hostile_site("1.2"), hostile_site("1.5")) as running:
        yield running


# --- CSV


async def test_pythons_sniffer_reads_a_csv_as_what_it_is(front: Front) -> None:
    rows = (await export(front)).rows
    body = (await body_of(front, "format=csv")).decode()
    dialect = csv.Sniffer().sniff(body[:8192])
    assert dialect.delimiter == "," and csv.Sniffer().has_header(body[:8192])
    table = [row for row in csv.DictReader(io.StringIO(body, newline=""), dialect=dialect) if not row["site"].startswith("# ")]
    assert [(row["site"], int(row["jobId"]), int(row["startTime"]), float(row["energy"])) for row in table] == [
        (row["site"], row["jobId"], row["startTime"], row["energy"]) for row in rows
    ]


async def test_duckdb_reads_a_csv_with_types_and_without_its_end(front: Front, tmp_path: Path) -> None:
    rows = (await export(front)).rows
    path = tmp_path / "jobs.csv"
    path.write_bytes(await body_of(front, "format=csv"))
    table = f"read_csv('{path}', comment='#')"
    found = queried(f"select * from {table}")
    types = dict(zip(found.columns, map(str, found.types), strict=True))
    assert (types["jobId"], types["startTime"], types["energy"], types["user"]) == ("BIGINT", "BIGINT", "DOUBLE", "VARCHAR")
    assert queried(f"select count(*), sum(duration), sum(numNodes * duration) from {table}").fetchall()[0] == (
        len(rows), sum(row["duration"] for row in rows), sum(row["numNodes"] * row["duration"] for row in rows),
    )  # fmt: skip


async def test_the_end_of_a_csv_is_its_last_line_and_tells_a_cut_one_from_a_whole_one(front: Front) -> None:
    body = await body_of(front, "format=csv")
    lines = body.split(b"\n")
    assert lines[-1] == b"" and [line for line in lines if line.startswith(b"#")] == [lines[-2]]
    header, rows, end = read_csv(body)
    assert header[0] == "site" and end["rows"] == len(rows) and end["complete"]
    start, stop = body.index(b"\n") + 1, body.rindex(b"\n# ") + 1
    assert end["sha256"] == hashlib.sha256(body[start:stop]).hexdigest()


@pytest.mark.parametrize("columns", ["site,jobId,jobName,project", "jobName", "jobName,jobId"])
async def test_no_text_of_a_job_is_a_formula_a_comment_or_more_than_one_cell(odd: Front, columns: str, tmp_path: Path) -> None:
    body = await body_of(odd, f"format=csv&columns={columns}")
    header, rows, end = read_csv(body)
    assert end["rows"] == len(rows) == 2 * len(HOSTILE) and all(len(row) == len(header) for row in rows)
    names = [row[header.index("jobName")] for row in rows]
    for cell in (cell for row in rows for cell in row):
        for part in (cell, *re.split("[;\t]", cell)[1:]):  # also where semicolons or tabs divide cells
            assert not part.startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")), cell
        assert not cell.startswith(("\t", "\r", "\n", "#")), cell
    assert {name.lstrip("'") for name in names} >= {'=HYPERLINK("http://evil.example","x")', "line\nend", "quotes \" and '"}
    assert len([line for line in body.split(b"\n") if line.startswith(b"#")]) == 1
    path = tmp_path / "odd.csv"
    path.write_bytes(body)
    options = "header=true, all_varchar=true, comment='#', delim=',', quote='\"'"
    read = queried(f"select jobName from read_csv('{path}', {options})")
    assert sorted(str(row[0] or "").replace("\r\n", "\n") for row in read.fetchall()) == sorted(
        name.replace("\r\n", "\n") for name in names
    )


async def test_json_lines_have_every_text_as_it_is(odd: Front) -> None:
    found = await export(odd, "columns=site,jobName,metaData")
    for name in ("odd12", "odd15"):
        assert [row["jobName"] for row in found.rows if row["site"] == name] == list(HOSTILE)
    assert all(row["metaData"] == {"jobName": row["jobName"], "note": "x"} for row in found.rows)


# --- Parquet


async def test_parquet_has_the_same_rows_with_types_and_the_records_of_the_export(front: Front, tmp_path: Path) -> None:
    columns = "site,jobId,user,startTime,duration,energy,numNodes,tags,resources,footprint,metaData,id"
    lines = await export(front, f"columns={columns}")
    path = tmp_path / "jobs.parquet"
    path.write_bytes(await body_of(front, f"format=parquet&columns={columns}"))
    file = pq.ParquetFile(path, page_checksum_verification=True)
    types = {name: str(kind) for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)}
    assert types["jobId"] == types["startTime"] == "int64" and types["energy"] == "double" and types["site"] == "string"
    assert types["footprint"].startswith("map<string, double") and types["tags"].startswith("list<")
    table = file.read().to_pylist()
    assert len(table) == len(lines.rows)
    for row, line in zip(table, lines.rows, strict=True):
        maps = {name: row[name] and dict(row[name]) for name in ("footprint", "metaData")}
        assert {**row, **maps} == line
    metadata = file.metadata.metadata
    end, begin = json.loads(metadata[b"ccgateway.end"]), json.loads(metadata[b"ccgateway.begin"])
    assert end["complete"] and end["rows"] == len(table) and begin["columns"] == file.schema_arrow.names
    assert {file.metadata.row_group(0).column(0).compression} == {"ZSTD"}
    total = queried(f"select count(*), sum(duration), min(\"startTime\") from read_parquet('{path}')").fetchall()[0]
    assert total == (len(table), sum(row["duration"] for row in table), min(row["startTime"] for row in table))


async def test_row_groups_are_bounded_and_a_cut_file_is_none(tmp_path: Path) -> None:
    one = site("aurora", "1.5", count=40_000)
    async with gateway(one) as front:
        body = await body_of(front, "format=parquet&columns=site,jobId")
    file = pq.ParquetFile(io.BytesIO(body))
    sizes = [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)]
    assert max(sizes) <= 16_384 and len(sizes) >= 3 and sum(sizes) == len(ended(one))
    with pytest.raises(Exception, match=r"[Pp]arquet"):
        pq.ParquetFile(io.BytesIO(body[:-100]))


async def test_parquet_that_strict_cannot_complete_is_broken_off() -> None:
    good, bad = site("aurora", "1.5", count=9000), failing("borealis", "1.4", 6)
    async with gateway(good, bad, retries=0) as front:
        with pytest.raises(aiohttp.ClientPayloadError):
            await body_of(front, "format=parquet")
        assert isinstance(bad, FailingSite)
        body = await body_of(front, "format=parquet&policy=PARTIAL&site=aurora")
        assert json.loads(pq.ParquetFile(io.BytesIO(body)).metadata.metadata[b"ccgateway.end"])["complete"]


async def test_who_wants_parquet_is_told_what_is_missing_where_it_is_not_installed(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    from ccgateway.surfaces.export import files

    monkeypatch.setattr(files, "find_spec", lambda name: None if name == "pyarrow" else importlib.util.find_spec(name))
    status, body = await refusal(front, "format=parquet")
    assert (status, body["code"]) == (501, "UNSUPPORTED") and "ccgateway[parquet]" in body["error"]


async def test_a_gateway_that_exports_no_parquet_does_not_load_the_library() -> None:
    program = "import sys, ccgateway.app; sys.exit('pyarrow' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0


# --- usage


def hours(jobs: list[dict[str, Any]], *names: str) -> dict[tuple[str, ...], list[int]]:
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for job in jobs:
        month = datetime.fromtimestamp(job["startTime"], UTC).strftime("%Y-%m")
        one = sums[(month, *(job[name] for name in names))]
        for place, value in enumerate((1, job["numNodes"], job["numHwthreads"], job["numAcc"])):
            one[place] += value * (job["duration"] if place else 1)
    return sums


@pytest.mark.parametrize("by", ["site,cluster,project,user", "user", "site,project"])
async def test_usage_is_the_sum_of_the_rows_to_the_second(front: Front, by: str) -> None:
    jobs = (await export(front)).rows
    names = by.split(",")
    report = await export(front, f"by={by}", kind="usage")
    found = {
        (row["period"], *(row[name] for name in names)): [
            row["jobs"], *(round(row[hour] * 3600) for hour in ("nodeHours", "coreHours", "accHours")),
        ]
        for row in report.rows
    }  # fmt: skip
    assert found == hours(jobs, *names)
    assert [tuple(row[name] for name in ("period", *names)) for row in report.rows] == sorted(found)
    assert report.end is not None and report.end["complete"]
    assert {one["site"]: one["rows"] for one in report.end["sites"]} == {
        name: sum(job["site"] == name for job in jobs) for name in {job["site"] for job in jobs}
    }


async def test_usage_agrees_with_the_gateways_own_statistics(front: Front) -> None:
    report = await export(front, "by=site&period=all&site=site15", kind="usage")
    states = "completed, failed, cancelled, timeout, preempted, out_of_memory, deadline, node_fail, boot_fail"
    asked = f'filter: [{{state: [{states}]}}], sites: ["site15"], exact: true'
    query = f"{{ jobsStatistics({asked}) {{ totalJobs totalNodeHours }} }}"
    answer = await front.ask(query)
    (told,) = answer["data"]["jobsStatistics"]
    (row,) = report.rows
    assert row["jobs"] == told["totalJobs"] and int(row["nodeHours"]) == told["totalNodeHours"]


async def test_energy_that_no_site_tells_is_unknown_and_not_zero(front: Front) -> None:
    report = await export(front, "by=site&period=year", kind="usage")
    by_site = {row["site"]: row for row in report.rows}
    assert by_site["site12"]["energy"] is None and by_site["site12"]["energyJobs"] == 0
    rows = (await export(front, "site=site15")).rows
    known = [row["energy"] for row in rows if row["energy"]]
    assert by_site["site15"]["energyJobs"] == len(known) and by_site["site15"]["energy"] == pytest.approx(sum(known))


@pytest.mark.parametrize(("period", "form"), [("year", "%Y"), ("month", "%Y-%m"), ("week", "%G-W%V"), ("day", "%Y-%m-%d")])
async def test_a_job_counts_in_the_period_of_its_start(front: Front, period: str, form: str) -> None:
    report = await export(front, f"period={period}&by=site&site=site14", kind="usage")
    jobs = (await export(front, "site=site14")).rows
    wanted: dict[str, int] = defaultdict(int)
    for job in jobs:
        wanted[datetime.fromtimestamp(job["startTime"], UTC).strftime(form)] += 1
    assert {row["period"]: row["jobs"] for row in report.rows} == wanted


async def test_factors_of_clusters_weigh_core_hours(front: Front) -> None:
    report = await export(front, "by=site,cluster&period=all", kind="usage")
    assert {row["normalisedHours"] for row in report.rows} == {None}  # none are set
    jobs = (await export(front)).rows
    async with gateway_over(
        front.addresses, export={"factors": {"site12": 2.5, "site15:site15": 0.5, "site14:other": 9}}
    ) as weighed:
        report = await export(weighed, "by=user&period=all", kind="usage")
    weights = {"site12": 2.5, "site15": 0.5}
    wanted = sum(job["numHwthreads"] * job["duration"] * weights.get(job["site"], 1.0) for job in jobs) / 3600
    assert sum(row["normalisedHours"] for row in report.rows) == pytest.approx(wanted)


async def test_usage_comes_as_csv_and_parquet_too(front: Front) -> None:
    rows = (await export(front, "by=user", kind="usage")).rows
    header, cells, end = read_csv(await body_of(front, "by=user&format=csv", kind="usage"))
    assert [dict(zip(header, row, strict=True))["user"] for row in cells] == [row["user"] for row in rows] and end["complete"]
    table = pq.ParquetFile(io.BytesIO(await body_of(front, "by=user&format=parquet", kind="usage"))).read().to_pylist()
    assert table == rows


@pytest.mark.parametrize("parameters", ["period=decade", "by=shoe", "columns=site", "shard=1/2", "running=true", "state=running"])
async def test_usage_refuses_what_it_does_not_know(front: Front, parameters: str) -> None:
    assert (await refusal(front, parameters, kind="usage"))[0] == 400


async def test_usage_that_strict_cannot_complete_has_no_rows_but_an_error() -> None:
    async with gateway(site("aurora", "1.5", count=9000), failing("borealis", "1.4", 6), retries=0) as front:
        report = await export(front, "", kind="usage")
        assert report.lines == [] and report.end is not None and report.end["error"]["code"] == "INCOMPLETE"
