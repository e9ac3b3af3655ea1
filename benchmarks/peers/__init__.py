"""Other gateways that the same questions are put to: Tailcall (Rust) and Mercurius with graphql-jit (Node).

They are fetched by npm, into ``peers/node_modules`` or the folder that ``BENCHMARK_PEERS`` names (benchmarks/README.md says how).
``missing`` tells what is not there; who lacks something is left out of the tables.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from benchmarks.processes import GatewayProcess, Site, started, told

__all__ = ["mercurius", "missing", "tailcall"]

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("BENCHMARK_PEERS", HERE))
TAILCALL = FOLDER / "node_modules/@tailcallhq/core-linux-x64-gnu/bin/tailcall"

_FIELD = Template("""\
  $name(n: Int!): Page!
    @http(
      url: "$url/api/jobs/"
      query: [{ key: "items-per-page", value: "{{.args.n}}" }, { key: "page", value: "1" }]
      headers: [{ key: "X-Auth-Token", value: "{{.env.TOKEN_$number}}" }]
    )
  ${name}Metrics(id: Int!, metrics: [String!]!, scopes: [String!]!): Envelope!
    @http(
      url: "$url/api/jobs/metrics/{{.args.id}}"
      query: [{ key: "metric", value: "{{.args.metrics}}" }, { key: "scope", value: "{{.args.scopes}}" }]
      headers: [{ key: "X-Auth-Token", value: "{{.env.TOKEN_$number}}" }]
    )""")


def missing() -> dict[str, str]:
    """Which peers cannot be started here, and why."""
    why = {}
    if not TAILCALL.exists():
        why["Tailcall"] = "its program is not in node_modules"
    elif subprocess.run([TAILCALL, "--version"], capture_output=True, check=False).returncode:
        why["Tailcall"] = "its program does not run on this machine"
    if shutil.which("node") is None:
        why["Mercurius"] = "there is no node"
    elif not (FOLDER / "node_modules/mercurius").exists():
        why["Mercurius"] = "it is not in node_modules"
    return why


@contextmanager
def tailcall(sites: Sequence[Site]) -> Iterator[GatewayProcess]:
    """Tailcall in front of ``sites``; ``Job.metrics`` asks the first of them."""
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        fields = "\n".join(_FIELD.substitute(name=site.name, url=site.url, number=n) for n, site in enumerate(sites, 1))
        text = (HERE / "tailcall.graphql").read_text()
        for key, value in {"$PORT": str(port), "$SITES": fields, "$METRICS_URL": f"{sites[0].url}/api/jobs/metrics"}.items():
            text = text.replace(key, value)
        config = Path(folder) / "config.graphql"
        config.write_text(text)
        tokens = {f"TOKEN_{n}": site.token for n, site in enumerate(sites, 1)}
        environment = {**tokens, "TAILCALL_TRACKER": "false", "TC_TRACKER": "false", "TAILCALL_LOG_LEVEL": "warn"}
        url = f"http://127.0.0.1:{port}"
        with started([str(TAILCALL), "start", str(config)], environment, Path(folder), url=url) as it:
            yield it


@contextmanager
def mercurius(sites: Sequence[Site]) -> Iterator[GatewayProcess]:
    """Mercurius in front of ``sites``."""
    with TemporaryDirectory() as folder:
        program = Path(folder) / "mercurius.js"  # beside its node_modules, wherever those are
        program.write_text((HERE / "mercurius.js").read_text())
        (Path(folder) / "package.json").write_text('{"type": "module"}')
        (Path(folder) / "node_modules").symlink_to(FOLDER / "node_modules")
        environment = {"SITES": told(sites), "NODE_ENV": "production"}
        with started(["node", str(program)], environment, Path(folder)) as it:
            yield it
