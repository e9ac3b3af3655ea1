from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from ccgateway.cli import main
from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve
from operations.desk import Desk


class Start(Protocol):
    async def __call__(self, release: str, name: str = "aurora", *, cluster: str | None = None, seed: int = 1) -> Address: ...


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a simulated site of a release on a real socket; all of them stop with the test."""
    async with AsyncExitStack() as stack:
        until = int(time.time())  # the same for all, so that the same seed gives the same jobs

        async def one(release: str, name: str = "aurora", *, cluster: str | None = None, seed: int = 1) -> Address:
            site = SimulatedSite(name, release, GeneratedJobs(40, cluster or name, seed=seed, until=until))
            running = await stack.enter_async_context(serve(site))
            return running[name]

        yield one


class Done(NamedTuple):
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, *arguments: str) -> Done: ...


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``ccgateway ARGUMENTS`` in the desk's folder, for commands that end by themselves."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    for name in [name for name in os.environ if name.startswith("CCGATEWAY_")]:
        monkeypatch.delenv(name)

    def command(*arguments: str) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["ccgateway", *arguments])
        status = 0
        try:
            with logging_as_before():
                main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
        return Done(status, *capsys.readouterr())

    return command


@contextmanager
def logging_as_before() -> Iterator[None]:
    """Takes back what a command sets: its handler writes to what this test alone captures, and others would log there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
