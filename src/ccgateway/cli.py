"""The command line: thin over ``operations``, for who runs a gateway, and with the ``commands`` of who asks one.

What is imported here delays every ``--help`` and every completion, so the server is imported where it is needed.

Exit status of what runs a gateway: 0 all is well, 1 something was found (``check``, ``schema --check``) or could not be done
(``cache``), 2 the settings or the command cannot be used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccgateway import __version__
from ccgateway.commands import add_commands
from ccgateway.errors import RequestError, SettingsError, SiteError

if TYPE_CHECKING:
    from ccgateway.operations.findings import CheckResult
    from ccgateway.settings import Settings

__all__ = ["app", "main"]

DEFAULT_FILE = Path("ccgateway.toml")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The settings file; ccgateway.toml if there is one here.", show_default=False),
]


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        typer.echo(f"ccgateway {__version__}")
        raise typer.Exit


@app.callback()
def everywhere(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Write the version, and nothing else.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """One endpoint in front of many ClusterCockpit instances."""


@app.command()
def serve(
    *,
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of the settings' own.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on, likewise; 0 picks a free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port for gRPC, likewise.", show_default=False)] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port for Prometheus, likewise.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that answer, instead of the settings' own.", show_default=False)
    ] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="How much to log, likewise.", show_default=False)] = None,
    access_log: Annotated[
        bool | None,
        typer.Option("--access-log/--no-access-log", help="Whether to log every request, likewise.", show_default=False),
    ] = None,
) -> None:
    """Serve the configured sites until Ctrl-C or SIGTERM; SIGHUP has it read its settings again."""
    from ccgateway.operations.running import serve as run_gateway

    given: dict[str, dict[str, object]] = {
        "server": {"host": host, "port": port, "workers": workers},
        "grpc": {"port": grpc_port},
        "metrics": {"port": metrics_port},
        "log": {"level": log_level.value if log_level is not None else None, "access": access_log},
    }
    if not run_gateway(lambda: _with(_settings(config), given), _file(config)):
        raise typer.Exit(1)


@app.command()
def reload(*, config: ConfigOption = None) -> None:
    """Have the gateway that runs with this settings file read it again; exit 1 if it refuses, as it is no good."""
    from ccgateway.operations import console
    from ccgateway.operations.control import NotRunningError, ask_to_reload, control_path

    try:
        settings = _settings(config)
    except SettingsError as error:  # as the gateway would, which goes on with what it has
        console.explain(error)
        raise typer.Exit(1) from None
    try:
        reply = ask_to_reload(control_path(settings, _file(config)))
    except NotRunningError as error:
        remedy = "Is it running, as this user? SIGHUP to its process does the same, but its log alone tells what came of it."
        console.explain(SettingsError("server.control_socket", str(error), remedy))
        raise typer.Exit(2) from None
    if reply.problem:
        console.explain(SettingsError(reply.key, reply.problem, reply.remedy))
        raise typer.Exit(1)
    typer.echo("reloaded")
    for key in reply.restart:
        typer.echo(f"{key} changes with a restart only")


@app.command()
def check(
    *,
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Check again and again, and write what changes; exit as the last check says.")
    ] = False,
    every: Annotated[float, typer.Option(min=1, max=86400, help="Seconds between two checks, with --watch.")] = 60,
) -> None:
    """Prove a settings file good: reach every site, see which release answers and what its token is worth."""
    import asyncio

    from ccgateway.operations import console
    from ccgateway.operations.check import check as run_check
    from ccgateway.operations.check_watch import Watch
    from ccgateway.operations.rendering import as_json, show

    if watch:

        async def again() -> bool:
            async def once() -> CheckResult:
                return await run_check(_settings(config), _file(config))

            return await Watch(once, typer.echo, every=every, as_json=json).run()

        if not asyncio.run(again()):
            raise typer.Exit(1)
        return
    result = asyncio.run(run_check(_settings(config), _file(config)))
    if json:
        typer.echo(as_json(result))
    else:
        show(result, console.stdout())
    if not result.is_good:
        raise typer.Exit(1)


cache_app = typer.Typer(help="What is remembered in the Redis that all processes share.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")


@cache_app.command("stats")
def cache_stats(
    *,
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> None:
    """Say how the Redis stands; exit 1 if it cannot be used."""
    import asyncio

    from ccgateway.operations import console
    from ccgateway.operations.caching import stats
    from ccgateway.operations.rendering import redis_as_json, show_redis

    redis = asyncio.run(stats(_settings(config).cache))
    if json:
        typer.echo(redis_as_json(redis))
    else:
        show_redis(redis, console.stdout())
    if redis.state != "up":
        raise typer.Exit(1)


@cache_app.command("clear")
def cache_clear(
    *,
    config: ConfigOption = None,
    site: Annotated[str | None, typer.Option(help="Only what is remembered of this site.", show_default=False)] = None,
    job: Annotated[
        str | None,
        typer.Option(help="Only of this job: site:number, or with --site cluster/jobId/startTime.", show_default=False),
    ] = None,
) -> None:
    """Forget what is remembered, in every process that shares the Redis."""
    import asyncio

    from ccgateway.operations import console
    from ccgateway.operations.caching import RedisDownError, clear

    try:
        found = asyncio.run(clear(_settings(config), site=site, job=job))
    except (RedisDownError, RequestError, SiteError) as error:
        console.stderr().print(f"[bold red]✗[/] {console.shown(str(error))}")
        raise typer.Exit(1) from None
    typer.echo(f"{found} {'entry' if found == 1 else 'entries'} forgotten")


@app.command()
def demo(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the gateway; another is taken if it is in use.")] = 8080,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Its port for gRPC, likewise.")] = 9090,
    down: Annotated[list[str] | None, typer.Option(help="A site that does not answer, to see a partial answer.")] = None,
) -> None:
    """Run five simulated sites of different releases and the gateway in front of them."""
    from ccgateway.operations import console
    from ccgateway.operations.demo import run_demo

    run_demo(port=port, grpc_port=grpc_port, down=down or [], console=console.stdout())


@app.command()
def schema(
    project: Annotated[Path, typer.Argument(metavar="[DIR]", help="The project's folder.")] = Path(),
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 and show how the files differ.")] = False,
) -> None:
    """Write the published schema files, and the tables of settings and error codes in the documents."""
    from ccgateway.operations import console
    from ccgateway.operations.published import drift, write

    if not check:
        for path, is_written in write(project).items():
            typer.echo(f"{path}: {'written' if is_written else 'up to date'}")
        return
    if difference := drift(project):
        typer.echo(difference)
        console.stderr().print("What is published differs from the code. Run: ccgateway schema")
        raise typer.Exit(1)


@app.command()
def token(
    *,
    key_file: Annotated[Path, typer.Option(help="Private key of an issuer that the gateway's settings name (Ed25519).")],
    subject: Annotated[str, typer.Option(help="Who the token is for.")],
    roles: Annotated[str, typer.Option(help="The roles, with commas between them.")] = "user",
    lifetime: Annotated[str, typer.Option("--for", help="How long it is good, such as 15m, 12h or 30d.")] = "12h",
    issuer: Annotated[str | None, typer.Option(help="The claim iss, if the settings ask for one.", show_default=False)] = None,
    audience: Annotated[str | None, typer.Option(help="The claim aud, likewise.", show_default=False)] = None,
) -> None:
    """Write a token with which a robot or a test can ask the gateway."""
    from ccgateway.operations.minting import mint_token, seconds_of

    names = [role for role in (part.strip() for part in roles.split(",")) if role]
    seconds = seconds_of(lifetime)
    made = mint_token(key_file, subject=subject, roles=names, seconds=seconds, issuer=issuer, audience=audience)
    typer.echo(made.get_secret_value())


@app.command()
def key(
    *,
    subject: Annotated[str, typer.Option(help="Who comes with the key.")],
    roles: Annotated[str, typer.Option(help="The roles, with commas between them.")] = "user",
    name: Annotated[str, typer.Option(help="What the section is called.")] = "robot",
) -> None:
    """Write a new API key, and to stderr the section that knows it: 2>> ccgateway.toml appends it to the settings."""
    from ccgateway.operations.minting import new_api_key, section_for

    names = [role for role in (part.strip() for part in roles.split(",")) if role]
    made = new_api_key()
    section = section_for(made, name, subject, names)
    typer.echo(made)
    typer.echo(section, err=True)


@app.command()
def version() -> None:
    """Write the version."""
    typer.echo(f"ccgateway {__version__}")


add_commands(app)


def _file(config: Path | None) -> Path | None:
    if config is not None:
        return config
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _settings(config: Path | None) -> Settings:
    from ccgateway.settings import load_settings

    return load_settings(_file(config))


def _with(settings: Settings, given: Mapping[str, Mapping[str, object]]) -> Settings:
    """The settings with what was given on the command line."""
    sections = {
        name: getattr(settings, name).model_copy(update={key: value for key, value in keys.items() if value is not None})
        for name, keys in given.items()
    }
    return settings.model_copy(update=sections)


def main() -> None:
    """The entry point: a refusal of the settings is explained, not raised."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - it stays open
    try:
        app()
    except SettingsError as error:
        from ccgateway.operations import console

        console.explain(error)
        sys.exit(2)
