"""One line for every write: who, as whom at the site, what, to which job, and what came of it. JSON, without secrets or values.

Lines go to the logger ``ccgateway.audit``, whatever the level of the others.
"""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from ccgateway.errors import SettingsError, clean, without_tokens
from ccgateway.jobs.writes import WriteOutcome, WriteResult

__all__ = ["LOGGER", "Audit", "audit_to_file", "close_audit_file"]

LOGGER = "ccgateway.audit"

#: characters of one detail
LONGEST = 500


class Audit:
    """Writes the lines."""

    def __init__(self) -> None:
        self._log = logging.getLogger(LOGGER)
        self._log.setLevel(logging.INFO)

    def note(
        self, *, request_id: str, caller: str, local: str | None, operation: str, detail: str, result: WriteResult, dry_run: bool
    ) -> None:
        """``caller``: the gateway's name for who asked; ``local``: the site's (``None``: not known, or not asked)."""
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "request": request_id,
            "caller": clean(caller),
            "as": None if local is None else clean(local),
            "site": result.site,
            "operation": operation,
            "detail": without_tokens(detail, limit=LONGEST),
            "outcome": result.outcome.value,
        }
        if result.key is not None:
            line["job"] = {"cluster": clean(result.key.cluster), "jobId": result.key.job_id, "startTime": result.key.start_time}
        if result.db_id is not None:
            line["id"] = result.db_id
        if result.count is not None:
            line["count"] = result.count
        if result.code is not None:
            line["code"] = result.code.value
        if dry_run:
            line["dryRun"] = True
        level = logging.WARNING if result.outcome is WriteOutcome.UNKNOWN else logging.INFO
        self._log.log(level, "%s", msgspec.json.encode(line).decode())


class _PrivateFile(logging.handlers.WatchedFileHandler):
    """A file that only its owner, and whoever else an operator chose, may read: who did what is not everybody's business."""

    def _open(self) -> io.TextIOWrapper:
        # the type of a file opened by a mode that is a variable is not known
        opened = open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=_open_private)  # noqa: SIM115
        return cast(io.TextIOWrapper, opened)


def _open_private(path: str, flags: int) -> int:
    opened = os.open(path, flags, 0o600)
    found = os.fstat(opened)
    if found.st_mode & 0o007 and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        os.fchmod(opened, stat.S_IMODE(found.st_mode) & ~0o007)
    return opened


def audit_to_file(path: Path) -> logging.Handler:
    """Adds the lines to a file as well, which may be moved away at any time. Raises ``SettingsError`` if it cannot be written."""
    try:
        handler = _PrivateFile(path, encoding="utf-8")
    except OSError as error:
        problem = f"{path} cannot be written ({error.strerror})"
        raise SettingsError("writes.audit_file", problem, "Name a file in a folder that the gateway may write to.") from None
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger(LOGGER).addHandler(handler)
    return handler


def close_audit_file(handler: logging.Handler) -> None:
    """Ends what ``audit_to_file`` began."""
    logging.getLogger(LOGGER).removeHandler(handler)
    handler.close()
