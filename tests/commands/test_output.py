"""What strangers wrote moves no cursor and is no formula; tables fit the terminal."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from ccgateway.commands.options import Format
from ccgateway.commands.output import csv_cell, sparkline, table, write

HOSTILE = "a\x1b[2Jb\u202ec\nd[bold]e\U000e0041"
ROW = {"id": "aurora:1", "jobName": HOSTILE, "startTime": datetime(2024, 6, 1, 12, tzinfo=UTC), "numNodes": 2, "tags": [HOSTILE]}


@pytest.mark.parametrize("kind", [Format.TABLE, Format.WIDE, Format.JSON, Format.JSONL, Format.NAME])
def test_hostile_texts_are_harmless_in_every_format(kind: Format, capsys: pytest.CaptureFixture[str]) -> None:
    write([{**ROW, "id": HOSTILE} if kind is Format.NAME else ROW], kind, list(ROW), name="id")
    written = capsys.readouterr().out
    assert written and not {"\x1b", "\u202e", "\U000e0041"} & set(written)
    if kind is Format.JSONL:
        assert json.loads(written)["jobName"] == HOSTILE  # harmless, and yet the same
    elif kind is not Format.JSON:
        assert "d[bold]e" in written


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_text_in_csv_is_no_formula_but_a_number_is_a_number(text: str) -> None:
    assert csv_cell(text) == "'" + text and csv_cell(-1) == -1 and csv_cell(None) is None
    assert csv_cell(HOSTILE, is_seen=True) != HOSTILE == csv_cell(HOSTILE)


@pytest.mark.parametrize("width", [30, 60, 100])
def test_a_table_fits_its_width(width: int) -> None:
    from rich.console import Console

    rows = [{"id": f"aurora:{number}", "a": "x" * 30, "b": "y" * 30, "c": number} for number in range(5)]
    console = Console(file=(text := io.StringIO()), width=width)
    console.print(table(rows, ["id", "a", "b", "c"], width))
    lines = text.getvalue().splitlines()
    assert len(lines) == 6 and max(map(len, lines)) <= width and lines[0].startswith("id")


def test_a_sparkline_shows_rise_and_gaps() -> None:
    assert sparkline([0.0, 1.0, None, 7.0], 10) == "▁▂ █" and sparkline([], 10) == sparkline([None], 10) == ""
    assert len(sparkline([float(number) for number in range(1000)], 30)) <= 30
