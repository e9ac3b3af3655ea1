"""The demo: five simulated sites of different releases and the gateway in front of them, in one process on loopback."""

from __future__ import annotations

import json
import shlex
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape

from ccgateway.app import create_app
from ccgateway.errors import SettingsError
from ccgateway.operations.calling import how_to_call
from ccgateway.operations.generations import Generations
from ccgateway.operations.listening import bind, reserved, url_of
from ccgateway.operations.serving import quiet_signals, run, server_for
from ccgateway.settings import CallerSettings, GrpcSettings, LimitSettings, ServerSettings, Settings, SiteSettings
from ccgateway.simulator import Address, SimulatedSite, demo_sites, serve
from ccgateway.telemetry import configure_logging

__all__ = ["QUERY", "listener_for", "run_demo", "settings_for"]

QUERY = """\
query Jobs($after: String) {
  jobs(first: 10, after: $after, filter: [{state: [completed, failed]}]) {
    items { id site cluster jobId user state startTime duration numNodes }
    pageInfo { endCursor hasNextPage }
    complete
    sites { site status code message elapsed returned }
  }
}"""


def run_demo(*, port: int, grpc_port: int, down: Sequence[str], console: Console) -> None:
    """Serves until Ctrl-C or SIGTERM. ``down``: sites that do not answer. Raises ``SettingsError`` for one that is none."""
    sites = demo_sites()
    names = [site.name for site in sites]
    for name in down:
        if name not in names:
            raise SettingsError("--down", f"there is no site {name} in the demo", f"Choose among {', '.join(names)}.")
    listener = listener_for(port, console)
    configure_logging("error")
    with quiet_signals(), listener, ExitStack() as stack:
        grpc = _grpc_on(grpc_port, stack, console)
        run(_serve_all(sites, down, listener, grpc, console))


def listener_for(port: int, console: Console) -> socket.socket:
    """A socket on that port, or on a free one, saying so, if it is taken."""
    try:
        return bind(ServerSettings(port=port))  # type: ignore[call-arg]
    except SettingsError as error:
        console.print(f"[yellow]{escape(error.problem)}: the demo takes another port.[/]")
        return bind(ServerSettings(port=0))  # type: ignore[call-arg]


def _grpc_on(port: int, stack: ExitStack, console: Console) -> GrpcSettings:
    """gRPC on that port, or on a free one, saying so, if it is taken; kept until ``stack`` ends."""
    for one in (port, 0):
        wanted = Settings.model_construct(grpc=GrpcSettings.model_validate({"port": one}))
        try:
            return stack.enter_context(reserved(wanted)).grpc
        except SettingsError as error:
            if not one:
                raise
            console.print(f"[yellow]{escape(error.problem)}: the demo takes another port for gRPC.[/]")
    raise AssertionError("one of them was returned or raised")


def settings_for(sites: Iterable[SimulatedSite], running: Mapping[str, Address], grpc: GrpcSettings | None = None) -> Settings:
    """The gateway's settings for these sites, whatever stands in files and the environment."""
    sections = {
        site.name: SiteSettings(
            name=site.name, number=number, url=running[site.name].url, token=SecretStr(site.token("demo")), release="auto"
        )  # type: ignore[call-arg]
        for number, site in enumerate(sites, 1)
    }
    return Settings.model_construct(
        server=ServerSettings(),  # type: ignore[call-arg]
        caller=CallerSettings(),  # type: ignore[call-arg]
        limits=LimitSettings(),  # type: ignore[call-arg]
        grpc=grpc or GrpcSettings.model_validate({}),
        sites=sections,
    )


async def _serve_all(
    sites: Sequence[SimulatedSite], down: Sequence[str], listener: socket.socket, grpc: GrpcSettings, console: Console
) -> None:
    async with serve(*sites) as running:
        for name in down:
            await running[name].stop()
        settings = settings_for(sites, running, grpc)
        server = server_for(
            Generations(create_app(settings)),
            settings,
            when_listening=lambda: _invite(sites, running, url_of(listener), grpc, console),
        )
        await server.serve(sockets=[listener])


def _invite(
    sites: Sequence[SimulatedSite], running: Mapping[str, Address], url: str, grpc: GrpcSettings, console: Console
) -> None:
    def line(text: str = "") -> None:
        console.print(text, soft_wrap=True)

    line(f"[bold]ccgateway demo[/]: {len(sites)} simulated ClusterCockpit instances, one endpoint in front of them")
    for number, site in enumerate(sites, 1):
        address = running[site.name]
        state = f"{len(site.backend.jobs)} jobs" if address.up else "[red]down[/]"
        line(f"  {number} {site.name:10} {site.release.name:6} {address.url:24} {state}")
    body = json.dumps({"query": "{ jobs(first: 3) { items { id user state } complete } }"})
    line(f"\nOpen in a browser:\n  [bold]{url}/[/]  all sites, jobs and usage\n  [bold]{url}/graphql[/]  GraphiQL")
    command = f"curl -s {url}/graphql -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    line(f"\nOr in another shell:\n  {escape(command)}")
    line("\nA query to paste; hand pageInfo.endCursor back as variable after to read on:\n")
    line(escape("\n".join(f"  {row}" for row in QUERY.splitlines())))
    line("\nBy gRPC, which speaks the .proto files in schema/ccgateway/v1 (and by reflection tells what it speaks):\n")
    for row in how_to_call(grpc, authenticates=False):
        line(escape(f"  {row}" if row else ""))
    line("\nCtrl-C stops everything.")
