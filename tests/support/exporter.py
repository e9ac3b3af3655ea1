"""Something that answers exports as the gateway does, from rows at hand, and can be made to break off anywhere."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support.answering import Handler, answering

__all__ = ["FAILED", "MISSING", "Exporter", "exporter", "rows_of"]

#: a site that an export lacks, and what one that must not lack any ends with
MISSING = {"site": "draco", "status": "FAILED", "code": "UNREACHABLE", "message": "no connection", "retryable": True}
FAILED = {"code": "INCOMPLETE", "message": "Not complete without draco.", "site": None, "retryable": False}


def rows_of(count: int) -> list[dict[str, Any]]:
    """So many rows, with texts of strangers in them."""
    names = ["plain", "=HYPERLINK(1)", "two\nlines", 'ü,"', "\x1b[2J\u202e", "-1"]
    return [{"site": "aurora", "jobId": number, "jobName": names[number % len(names)], "energy": 0.5} for number in range(count)]


@dataclass
class Exporter:
    """``cuts``: after how many bytes each of the next answers breaks off; ``spoilt``: in how many answers a row is changed on the
    way; ``error``: what the export ends with; ``missing``: sites that it lacks; ``asked``: the parameters of each request;
    ``pause``: seconds before the end."""

    rows: Sequence[dict[str, Any]]
    every: int = 10
    url: str = ""
    cuts: list[int] = field(default_factory=list)
    spoilt: int = 0
    error: dict[str, Any] | None = None
    missing: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    pause: float = 0.0

    def lines(self, start: int) -> Iterator[bytes]:
        """The whole answer behind so many rows."""
        columns = list(self.rows[0]) if self.rows else ["site", "jobId"]
        yield _line({"export": "jobs", "version": 1, "query": {}, "columns": columns, "resumedAt": start, "sites": []})
        total = hashlib.sha256()
        for number, row in enumerate(self.rows[start:], start + 1):
            line = _line(row)
            total.update(line)
            yield line.replace(b"0.5", b"0.7") if self.spoilt and number == start + 1 else line
            if not number % self.every:
                yield _line({"resume": f"token-{number}", "rows": number})
        self.spoilt = max(0, self.spoilt - 1)
        yield _line(
            {
                "end": True, "rows": len(self.rows) - start, "sha256": total.hexdigest(), "complete": not self.missing,
                "sites": self.missing, "error": self.error,
            }
        )  # fmt: skip


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


@contextmanager
def exporter(count: int = 95) -> Iterator[Exporter]:
    """A running one."""
    found = Exporter(rows_of(count))

    class Exporting(Handler):
        def do_GET(self) -> None:
            asked = dict(parse_qsl(urlsplit(self.path).query))
            found.asked.append(asked)
            cut = found.cuts.pop(0) if found.cuts else None
            body = b"".join(found.lines(int(asked.get("resume", "token-0").removeprefix("token-"))))
            self.send_response_only(200)
            self.send_header("Content-Type", "application/jsonl")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            given = body[:cut]
            for at in range(0, len(given), 333):
                piece = given[at : at + 333]
                if at + 333 >= len(given):
                    time.sleep(found.pause)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if cut is None:
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.close_connection = True
                self.wfile.flush()
                self.connection.shutdown(2)

    with answering(Exporting) as found.url:
        yield found
