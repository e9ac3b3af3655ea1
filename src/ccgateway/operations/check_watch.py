"""``ccgateway check --watch``: the check again and again, and a line for each thing that changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from ccgateway.errors import SettingsError
from ccgateway.operations.findings import CheckResult, Finding
from ccgateway.operations.serving import stop_signals

__all__ = ["Watch"]


class Watch:
    """Checks every so many seconds until Ctrl-C or SIGTERM.

    Args:
        check: Reads the settings and checks them. Raises ``SettingsError`` for a file that cannot be used.
        write: Takes each line.
        every: Seconds between the beginnings of two checks.
        as_json: Whether lines are JSON objects.
    """

    def __init__(
        self, check: Callable[[], Awaitable[CheckResult]], write: Callable[[str], None], *, every: float, as_json: bool
    ) -> None:
        self._check, self._write, self._every, self._as_json = check, write, every, as_json
        self._ended = asyncio.Event()
        self._open: dict[tuple[str, str], Finding] = {}
        self._is_good: bool | None = None

    async def run(self) -> bool:
        """Whether the last check that was finished found everything good."""
        loop = asyncio.get_running_loop()
        with stop_signals(lambda _number: self._ended.set()):
            while not self._ended.is_set():
                begun = loop.time()
                checking = asyncio.ensure_future(self._found())
                ended = asyncio.ensure_future(self._ended.wait())
                await asyncio.wait({checking, ended}, return_when=asyncio.FIRST_COMPLETED)
                for task in (checking, ended):
                    if not task.done():
                        task.cancel()
                        with suppress(asyncio.CancelledError):
                            await task
                if checking.cancelled():
                    break
                self._tell(checking.result())
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, begun + self._every - loop.time())):
                        await self._ended.wait()
        return self._is_good is not False

    async def _found(self) -> list[Finding]:
        try:
            return list(await self._check())
        except SettingsError as error:
            return [Finding.of(error)]

    def _tell(self, findings: list[Finding]) -> None:
        found = {(finding.key, finding.problem): finding for finding in findings}
        for place, finding in found.items():
            if place not in self._open:
                self._line(finding.level.value, finding)
        for place, finding in self._open.items():
            if place not in found:
                self._line("solved", finding)
        is_good = CheckResult(None, [], findings).is_good
        if is_good is not self._is_good:
            self._verdict(is_good=is_good)
        self._open, self._is_good = found, is_good

    def _line(self, what: str, finding: Finding) -> None:
        if self._as_json:
            self._object(what=what, key=finding.key, problem=finding.problem, remedy=finding.remedy)
        else:
            self._text(f"{what}: {finding.key}: {finding.problem}" + ("" if what == "solved" else f" → {finding.remedy}"))

    def _verdict(self, *, is_good: bool) -> None:
        if self._as_json:
            self._object(what="verdict", good=is_good)
        else:
            self._text("all is good" if is_good else "there are problems to solve")

    def _object(self, **fields: object) -> None:
        self._write(json.dumps({"time": _now(), **fields}))

    def _text(self, words: str) -> None:
        self._write(f"{_now()} {words}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
