"""The operator's tools that check the files of ``deploy/``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

__all__ = ["DEPLOY", "ROOT", "adapted", "succeeds", "tool"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def tool(name: str, package: str) -> str:
    """The path of a program; the test is skipped where it is not installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed (package {package})")
    return found


def succeeds(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """What a command writes; the test fails with that if the command does."""
    environment = {**os.environ, **(environment or {})}
    found = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


def adapted(text: str, changes: Mapping[str, str]) -> str:
    """A configuration with the operator's own values in place of the shipped ones, each of which must be in it."""
    for shipped, own in changes.items():
        assert shipped in text, f"{shipped!r} is not in the configuration"
        text = text.replace(shipped, own)
    return text
