"""One line for every write: who, as whom at the site, what, to which job, and what came of it. JSON, without secrets or values.

Lines go to the logger ``ccgateway.audit``, whatever the level of the others. A line that cannot be written changes nothing for
the write that it tells of: that is noted among the gateway's troubles.
"""

from __future__ import annotations

import logging
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ccgateway.errors import SettingsError, clean, without_tokens
from ccgateway.jobs.writes import WriteOutcome, WriteResult
from ccgateway.telemetry import Observer, Troubles

__all__ = ["LOGGER", "PART", "Audit", "AuditFile", "audit_to_file", "close_audit_file", "trouble_with"]

LOGGER = "ccgateway.audit"
#: what the troubles call it
PART = "audit log"

#: characters of one detail
LONGEST = 500


class Audit:
    """Writes the lines. ``file``: the file that gets them as well; ``troubles``: where a line that was not written is noted;
    ``observer``: counts the writes."""

    def __init__(self, troubles: Troubles, file: AuditFile | None = None, observer: Observer | None = None) -> None:
        self._log = logging.getLogger(LOGGER)
        self._log.setLevel(logging.INFO)
        self._troubles, self._file = troubles, file
        self._observer = observer or Observer()

    def trouble(self) -> str | None:
        """Why the next line will not get into the file, as far as can be told; ``None``: it will, or there is none."""
        return None if self._file is None else self._file.trouble()

    def note(
        self, *, request_id: str, caller: str, local: str | None, operation: str, detail: str, result: WriteResult, dry_run: bool
    ) -> None:
        """``caller``: the gateway's name for who asked; ``local``: the site's (``None``: not known or asked). Never fails."""
        if not dry_run:
            self._observer.written(operation, result.outcome)
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
            key = result.key
            line["job"] = {"cluster": clean(key.cluster), "jobId": key.job_id, "startTime": key.start_time}
        if result.db_id is not None:
            line["id"] = result.db_id
        if result.count is not None:
            line["count"] = result.count
        if result.code is not None:
            line["code"] = result.code.value
        if dry_run:
            line["dryRun"] = True
        level = logging.WARNING if result.outcome is WriteOutcome.UNKNOWN else logging.INFO
        try:
            self._log.log(level, "%s", msgspec.json.encode(line).decode())
        except Exception as error:  # noqa: BLE001 - whatever is hung into the log: the write was made; told in the troubles
            self._troubles.note(PART, f"a line was not written ({type(error).__name__})")


class AuditFile(logging.Handler):
    """Adds each line to a file, which may be moved away at any time. What fails is noted in ``troubles``, and never raised.

    While the file cannot be opened anew after it was moved, lines go on into the one that was moved. Raises ``OSError`` if it
    cannot be opened to begin with.
    """

    def __init__(self, path: Path, troubles: Troubles) -> None:
        super().__init__()
        self._path, self._troubles = path, troubles
        self._file = _open(path)
        self._is_torn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line, at once and as it is."""
        moved = self._follow()
        try:
            self._write(f"{record.getMessage()}\n".encode("utf-8", "replace"))
        except OSError as error:
            self._troubles.note(PART, f"lines are missing from the audit file ({error.strerror})")
            return
        if moved is None:
            self._troubles.mended(PART)
        else:
            self._troubles.note(PART, f"{moved}; lines go to the file that it was before")

    def trouble(self) -> str | None:
        """Why the next line will not get there, as far as can be told."""
        self.acquire()
        try:
            moved = self._follow()
            room = os.fstatvfs(self._file)
        except OSError as error:
            return f"the audit file cannot be written ({error.strerror})"
        finally:
            self.release()
        is_full = room.f_blocks > 0 and not room.f_bavail
        return moved or ("the audit file cannot be written (no space left)" if is_full else None)

    def _follow(self) -> str | None:
        """Opens the file anew if another one, or none, is in its place; why that failed."""
        try:
            found, held = self._path.stat(), os.fstat(self._file)
            if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
                return None
        except OSError:  # it was moved away, or cannot be looked at: to open it will tell
            pass
        try:
            opened = _open(self._path)
        except OSError as error:
            return f"the audit file cannot be opened ({error.strerror})"
        os.close(self._file)
        self._file = opened
        return None

    def _write(self, line: bytes) -> None:
        if self._is_torn:  # what there was no more room for stays half a line
            line = b"\n" + line
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        finally:
            self._is_torn = 0 < written < len(line) or (self._is_torn and not written)

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        super().close()


def _open(path: Path) -> int:
    """Opens it so that only its owner, and whoever else an operator chose, may read: who did what is not everybody's business."""
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
    found = os.fstat(opened)
    if found.st_mode & 0o007 and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        os.fchmod(opened, stat.S_IMODE(found.st_mode) & ~0o007)
    return opened


def trouble_with(path: Path) -> str | None:
    """Why lines could not be added to the file, found out without making it; ``None`` if they could."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY))
    except FileNotFoundError:
        folder = path.absolute().parent
        if not folder.is_dir():
            return "its folder does not exist"
        return None if os.access(folder, os.W_OK | os.X_OK) else "its folder cannot be written to"
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def audit_to_file(path: Path, troubles: Troubles) -> AuditFile:
    """Adds the lines to a file as well, which may be moved away at any time. Raises ``SettingsError`` if it cannot be written."""
    try:
        handler = AuditFile(path, troubles)
    except OSError as error:
        problem = f"{path} cannot be written ({error.strerror})"
        raise SettingsError("writes.audit_file", problem, "Name a file in a folder that the gateway may write to.") from None
    logging.getLogger(LOGGER).addHandler(handler)
    return handler


def close_audit_file(handler: AuditFile) -> None:
    """Ends what ``audit_to_file`` began."""
    logging.getLogger(LOGGER).removeHandler(handler)
    handler.close()
