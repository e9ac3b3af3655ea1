"""Gateways in processes of their own that share a Redis, as several workers would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import ccgateway
from ccgateway.simulator.serve import Address

__all__ = ["Process", "processes"]


@dataclass(frozen=True)
class Process:
    """A served gateway."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """As an accident would."""
        self.process.kill()
        self.process.wait()


@contextmanager
def processes(count: int, running: Mapping[str, Address], folder: Path, cache: str) -> Iterator[list[Process]]:
    """So many gateways over the sites; ``cache``: the section of that name. All are killed in the end."""
    lines = [
        f'[sites.{name}]\nnumber = {number}\nurl = "{one.url}"\ntoken_env = "TOKEN_{number}"\ntimeout = 20\n'
        for number, (name, one) in enumerate(running.items(), start=1)
    ]
    config = folder / "ccgateway.toml"
    config.write_text("\n".join([*lines, "[cache]", cache]))
    tokens = {f"TOKEN_{number}": one.site.token("demo") for number, one in enumerate(running.values(), start=1)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CCGATEWAY_")}
    environment = {**clean, **tokens, "COLUMNS": "200", "PYTHONPATH": str(Path(ccgateway.__file__).parent.parent)}
    with ExitStack() as stack:
        found = []
        for number in range(count):
            said = folder / f"stderr-{number}"
            command = [sys.executable, "-m", "ccgateway", "serve", "--config", str(config), "--port", "0"]
            with said.open("wb") as stderr:
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment)
            stack.callback(process.wait)
            stack.callback(process.kill)
            found.append((process, said))
        yield [Process(_url(process, said), process) for process, said in found]


def _url(process: subprocess.Popen[bytes], said: Path) -> str:
    while process.poll() is None:
        if found := re.search(r"(http://\S+/graphql)", said.read_text()):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"the gateway did not start: {said.read_text()}")
