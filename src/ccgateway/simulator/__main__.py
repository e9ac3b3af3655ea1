"""``python -m ccgateway.simulator``: one site in a process of its own.

Prints one line of JSON (url, name, release, clusters, jobs, tokens by user, keys) once it listens, and serves until it is
terminated (or, with ``--while-stdin-is-open``, until its standard input is closed).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from ccgateway.simulator.demo import site_of
from ccgateway.simulator.release import RELEASES
from ccgateway.simulator.serve import serve


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m ccgateway.simulator", description="A simulated ClusterCockpit site.")
    parser.add_argument("--release", choices=sorted(RELEASES), default="1.5")
    parser.add_argument("--host", default="127.0.0.1", help="IPv4 address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--jobs", type=int, default=1000, help="how many jobs to make up")
    parser.add_argument("--cluster", default="synth", help="also the site's name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until", type=int, default=None, help="end of the jobs' period, epoch seconds (default: now)")
    parser.add_argument("--zone", default="UTC")
    parser.add_argument("--commit", type=float, default=120.0, help="1.5: seconds until a started job shows (0: at once)")
    parser.add_argument("--archiving", type=float, default=1.0, help="seconds until a stopped job is archived")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--per-job-cost", type=float, default=0.0, help="seconds for every job in an answer of REST")
    parser.add_argument("--per-query-cost", type=float, default=0.0, help="the same of POST /query")
    parser.add_argument("--token-file", type=Path, default=None, help="where a token for a gateway is written, once it listens")
    parser.add_argument("--while-stdin-is-open", action="store_true", help="end when standard input is closed")
    given = parser.parse_args(arguments)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(given))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def _end_with_stdin(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


def _write_secret(path: Path, text: str) -> None:
    """Puts a file that its owner alone may read in place of what was there, in one step."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(path)


async def _run(given: argparse.Namespace) -> None:
    site = site_of(
        given.release,
        given.jobs,
        cluster=given.cluster,
        seed=given.seed,
        until=given.until,
        zone=given.zone,
        commit=given.commit,
        archiving=given.archiving,
    )
    site.latency = given.latency
    site.per_job_cost = given.per_job_cost
    site.per_query_cost = given.per_query_cost
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if given.while_stdin_is_open:
        loop.add_reader(sys.stdin.fileno(), _end_with_stdin, stop)
    async with serve(site, ports={site.name: given.port}, host=given.host) as running:
        description = {
            "url": running[site.name].url,
            "name": site.name,
            "release": site.release.name,
            "clusters": site.cluster_names,
            "jobs": given.jobs,
            "tokens": {user: site.token(user) for user in site.users},
            "public_key": site.keys.public_base64,
            "private_key": site.keys.private_base64,
        }
        sys.stdout.write(json.dumps(description) + "\n")
        sys.stdout.flush()
        if given.token_file is not None:
            _write_secret(given.token_file, site.token("demo"))
        await stop.wait()


if __name__ == "__main__":
    main()
