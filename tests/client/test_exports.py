"""Exports by the client: all rows or an error, whatever breaks on the way."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest

from ccgateway.client import AsyncGateway, Gateway, GatewayError, Incomplete, parquet_end
from support.exporter import FAILED, MISSING, Exporter, exporter
from support.served import Served


@pytest.fixture
def export() -> Iterator[Exporter]:
    with exporter() as standing:
        yield standing


def test_all_rows_come_with_their_types(export: Exporter) -> None:
    with Gateway(export.url) as gateway:
        found = gateway.export(user="alice", nodes="4..", metrics=["flops_any"], columns=["site", "jobId"], shard="2/8")
        assert list(found) == list(export.rows)
        assert found.end is not None and (found.end.rows, found.end.complete) == (95, True)
    assert export.asked == [
        {
            "format": "jsonl", "user": "alice", "numNodes[from]": "4", "policy": "STRICT", "columns": "site,jobId",
            "metrics": "flops_any", "shard": "2/8",
        }
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_an_export_that_is_cut_anywhere_goes_on_with_exactly_the_rest(export: Exporter, seed: int) -> None:
    whole = sum(map(len, export.lines(0)))
    chance = random.Random(seed)
    export.cuts = [chance.randrange(1, whole // 2) for _ in range(4)]
    with Gateway(export.url) as gateway:
        batches = list(gateway.export().batches())
    assert b"".join(line for batch in batches for line in batch.lines) == b"".join(
        line for line in export.lines(0) if line.startswith(b'{"site"')
    )
    assert batches[-1].rows == 95 and batches[-1].resume is None and len(export.asked) > 1


def test_rows_that_were_changed_on_the_way_are_not_handed_on(export: Exporter) -> None:
    export.every, export.spoilt = 1000, 1
    with Gateway(export.url) as gateway:
        assert list(gateway.export()) == list(export.rows) and len(export.asked) == 2
        export.spoilt = 100
        with pytest.raises(GatewayError, match="changed on the way"):
            list(gateway.export())


def test_what_breaks_again_and_again_is_an_error_that_says_where_it_goes_on(export: Exporter) -> None:
    export.cuts = [2500, *[100] * 20]
    read = []
    with Gateway(export.url, retries=3) as gateway:
        with pytest.raises(GatewayError, match="CONNECTION_LOST") as broken:
            for batch in gateway.export().batches():
                read += batch.lines
        assert broken.value.after is not None and len(read) % 10 == 0 and read
        export.cuts = []
        rest = list(gateway.export().batches(resume=broken.value.after, rows=len(read)))
        assert len(read) + sum(len(batch.lines) for batch in rest) == rest[-1].rows == 95


def test_an_export_without_a_site_is_an_error_unless_parts_are_allowed(export: Exporter) -> None:
    export.missing, export.error = [MISSING], FAILED
    with Gateway(export.url) as gateway:
        with pytest.raises(Incomplete) as refused:
            list(gateway.export())
        assert [(one.site, one.code) for one in refused.value.missing] == [("draco", "UNREACHABLE")]
        export.error = None
        found = gateway.export(partial=True)
        assert len(list(found)) == 95 and found.end is not None and not found.end.complete
        assert [one.site for one in found.end.missing] == ["draco"] and export.asked[-1]["policy"] == "PARTIAL"


async def test_a_parquet_file_is_handed_on_and_says_whether_it_is_whole(front: Served, tmp_path: Path) -> None:
    with Gateway(front.url) as gateway, (tmp_path / "jobs.parquet").open("w+b") as file:
        for piece in gateway.export(columns=["site", "jobId", "tags"], user="alice").parquet():
            file.write(piece)
        end = parquet_end(file)
        rows = list(gateway.export(columns=["site", "jobId", "tags"], user="alice"))
        assert (end.rows, end.complete, end.missing) == (len(rows), True, ()) and rows
        assert pyarrow.parquet.read_table(tmp_path / "jobs.parquet").to_pylist() == rows
        file.truncate(file.seek(0, 2) - 5)
        with pytest.raises(GatewayError, match="broke off before its end"):
            parquet_end(file)
    async with AsyncGateway(front.url) as other:
        pieces = b"".join([piece async for piece in other.usage(["user"], period="all").parquet()])
    assert parquet_end(io.BytesIO(pieces)).rows == 4
    with front.down("draco"), Gateway(front.url) as gateway:
        end = parquet_end(io.BytesIO(b"".join(gateway.export(partial=True).parquet())))
        assert not end.complete and [gap.site for gap in end.missing] == ["draco"]
        with pytest.raises(Incomplete):
            b"".join(gateway.export().parquet())


async def test_the_client_for_asyncio_does_the_same(export: Exporter) -> None:
    export.cuts = [1500, 400]
    async with AsyncGateway(export.url) as gateway:
        found = gateway.export()
        assert [row async for row in found] == list(export.rows)
        assert found.end is not None and found.end.complete
        assert [row["jobId"] async for row in gateway.usage(["user"], period="day")] == list(range(95))
    assert export.asked[-1] == {"format": "jsonl", "policy": "STRICT", "by": "user", "period": "day"}


def test_a_metric_that_no_job_has_is_noted_at_the_end(front: Served, gateway: Gateway) -> None:
    lacks = "metrics: none of these jobs has {}"
    for metrics, without in (("flops_any", []), (["flops_any", "nope"], ["nope"]), (["nope", "flops_an"], ["flops_an", "nope"])):
        notes = tuple(lacks.format(name) for name in without)
        found = gateway.export(metrics=metrics)
        assert list(found) and found.end is not None and found.end.notes == notes
        assert parquet_end(io.BytesIO(b"".join(gateway.export(metrics=metrics).parquet()))).notes == notes
    nothing = gateway.export(user="nobody", metrics="nope")
    assert list(nothing) == [] and nothing.end is not None and nothing.end.notes == ()
