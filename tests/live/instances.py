"""Instances as processes: made to hang, ended, started again. Only those that ``farm.json`` names, by their id."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
import pytest

from live.farm import Farm, Site

__all__ = ["Launch", "down", "hanging", "replaced"]


@dataclass(frozen=True)
class Launch:
    """How an instance's process was started."""

    program: str
    environment: dict[str, str]
    folder: Path

    @classmethod
    def of(cls, site: Site) -> Self:
        """Read from the running process."""
        process = _process(site)
        return cls(process.exe(), process.environ(), Path(process.cwd()))

    def start(self, url: str) -> subprocess.Popen[bytes]:
        """Starts it (again) and waits until it answers."""
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                [self.program, "-server", "-loglevel", "info"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(150):
            try:
                urllib.request.urlopen(url + "/api/jobs/", timeout=2).close()
            except urllib.error.HTTPError as error:
                error.close()
                return process
            except OSError:
                time.sleep(0.1)
            else:
                return process
        raise RuntimeError(f"what was started in {self.folder} does not answer")


def _process(site: Site) -> psutil.Process:
    if site.pid is None or not psutil.pid_exists(site.pid):
        pytest.skip(f"farm.json names no running process for {site.name}")
    return psutil.Process(site.pid)


@contextmanager
def hanging(site: Site) -> Iterator[None]:
    """The instance takes connections and answers none."""
    process = _process(site)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


@contextmanager
def down(farm: Farm, site: Site) -> Iterator[None]:
    """The instance's process is ended; afterwards it runs again."""
    launch = Launch.of(site)
    _end(_process(site).pid)
    try:
        yield
    finally:
        farm.note_pid(site, launch.start(site.url).pid)


@contextmanager
def replaced(farm: Farm, site: Site, by: Site, folder: Path) -> Iterator[None]:
    """At the address of ``site`` answers a copy of ``by``, another release, that knows the tokens of ``site``."""
    theirs, newer = Launch.of(site), Launch.of(by)
    shutil.copytree(newer.folder, folder)
    shutil.copy(theirs.folder / ".env", folder / ".env")
    config = json.loads((folder / "config.json").read_text())
    address = site.url.removeprefix("http://")
    if "main" in config:
        config["main"]["addr"] = address
    else:
        config["addr"] = address
    (folder / "config.json").write_text(json.dumps(config))
    with down(farm, site):
        process = Launch(newer.program, newer.environment, folder).start(site.url)
        try:
            yield
        finally:
            _end(process.pid)
            process.wait()


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    for _ in range(150):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    raise RuntimeError(f"process {pid} does not end")
