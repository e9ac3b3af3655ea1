"""What an operator has on the desk: a folder with a settings file and token files, and the commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ccgateway.operations.check import check
from ccgateway.operations.findings import CheckResult, Finding, Level, SiteCheck
from ccgateway.settings import load_settings

__all__ = ["Desk", "environment", "one_problem", "one_warning"]


@dataclass
class Desk:
    """A folder with ``ccgateway.toml``, written section by section."""

    folder: Path
    text: str = ""
    _numbers: int = field(default=0)

    @property
    def file(self) -> Path:
        return self.folder / "ccgateway.toml"

    def add(self, name: str, url: str, token: str | None, extra: str = "") -> None:
        """A site; its token goes into a file of its own."""
        self._numbers += 1
        self.text += f'[sites.{name}]\nnumber = {self._numbers}\nurl = "{url}"\n{extra}\n'
        if token is not None:
            path = self.folder / f"{name}.jwt"
            path.write_text(token)
            path.chmod(0o600)
            self.text += f'token_file = "{name}.jwt"\n'
        self.file.write_text(self.text)

    async def check(self) -> CheckResult:
        """``ccgateway check``; at a free port where the file names none, as other tests look at the usual one meanwhile."""
        settings = load_settings(self.file)
        if "port" not in settings.server.model_fields_set:
            settings = settings.model_copy(update={"server": settings.server.model_copy(update={"port": 0})})
        return await check(settings, self.file)


def one_problem(found: CheckResult | SiteCheck) -> Finding:
    """The only problem there is."""
    return _only(found, Level.PROBLEM)


def one_warning(found: CheckResult | SiteCheck) -> Finding:
    """The only warning there is."""
    return _only(found, Level.WARNING)


def _only(found: CheckResult | SiteCheck, level: Level) -> Finding:
    findings = list(found) if isinstance(found, CheckResult) else found.findings
    (only,) = [finding for finding in findings if finding.level is level]
    return only


def environment(**extra: str) -> Mapping[str, str]:
    """The environment of a command: nothing of ours in it but ``extra``, and that nobody is waited for at its end."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CCGATEWAY_")}
    return {**plain, "COLUMNS": "160", "PYTHONUNBUFFERED": "1", "CCGATEWAY_SERVER__DRAIN": "0", **extra}
