"""The command line: thin over ``operations``.

Exit status: 0 all is well, 1 something was found (``check``, ``schema --check``) or could not be done (``cache``), 2 the settings
or the command cannot be used.
"""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ccgateway import __version__
from ccgateway.errors import RequestError, SettingsError, SiteError
from ccgateway.operations import console
from ccgateway.settings import Settings, load_settings
from ccgateway.telemetry import configure_logging

__all__ = ["app", "main"]

DEFAULT_FILE = Path("ccgateway.toml")

app = typer.Typer(
    help="One endpoint in front of many ClusterCockpit instances.",
    no_args_is_help=True,
    add_completion=False,
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


@app.command()
def serve(
    *,
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of the settings' own.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on, likewise; 0 picks a free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port for gRPC, likewise.", show_default=False)] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer: as many as there are cores for it.")] = 1,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port for Prometheus, likewise.", show_default=False)
    ] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="How much to log, likewise.", show_default=False)] = None,
    access_log: Annotated[
        bool | None,
        typer.Option("--access-log/--no-access-log", help="Whether to log every request, likewise.", show_default=False),
    ] = None,
) -> None:
    """Serve the configured sites until Ctrl-C or SIGTERM."""
    from ccgateway.app import create_app
    from ccgateway.operations.calling import grpc_address
    from ccgateway.operations.serving import bind, quiet_signals, refuse_without_sites, reserved, server_for, url_of
    from ccgateway.operations.telling import told
    from ccgateway.operations.workers import serve_with_workers
    from ccgateway.telemetry.samples import added

    wanted = _listening_on(_settings(config), host, port, grpc_port, metrics_port)
    wanted = _logging_as(wanted, log_level, access_log)
    refuse_without_sites(wanted)
    with quiet_signals(), reserved(wanted) as settings:
        application = create_app(settings)
        settings.cache.check_workers(workers, take_writes=settings.writes.enabled)
        with bind(settings.server) as listener:
            configure_logging(settings.log.level, settings.log.format)

            def announce() -> None:
                count = len(settings.sites)
                where = f"{url_of(listener)}/graphql"
                if settings.grpc.port is not None:
                    where += f" and by gRPC at {grpc_address(settings.grpc)}"
                console.stderr().print(f"ccgateway {__version__} serves {count} {'site' if count == 1 else 'sites'} at {where}")

            if workers == 1:
                with told(settings.metrics, lambda: added([application.meter.samples()])):
                    server_for(application, when_listening=announce).run(sockets=[listener])
            elif not serve_with_workers(settings, listener, workers, when_listening=announce):
                raise typer.Exit(1)


@app.command()
def check(
    *,
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> None:
    """Prove a settings file good: reach every site, see which release answers and what its token is worth."""
    from ccgateway.operations.check import check as run_check
    from ccgateway.operations.rendering import as_json, show

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
    from ccgateway.operations.demo import run_demo

    run_demo(port=port, grpc_port=grpc_port, down=down or [], console=console.stdout())


@app.command()
def schema(
    project: Annotated[Path, typer.Argument(metavar="[DIR]", help="The project's folder.")] = Path(),
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 and show how the files differ.")] = False,
) -> None:
    """Write the published schema files, and the tables of settings and error codes in the documents."""
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


def _file(config: Path | None) -> Path | None:
    if config is not None:
        return config
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _settings(config: Path | None) -> Settings:
    return load_settings(_file(config))


def _logging_as(settings: Settings, level: LogLevel | None, access: bool | None) -> Settings:  # noqa: FBT001 - as typer has it
    given = {"level": level.value if level is not None else None, "access": access}
    chosen = {key: value for key, value in given.items() if value is not None}
    return settings.model_copy(update={"log": settings.log.model_copy(update=chosen)})


def _listening_on(
    settings: Settings, host: str | None, port: int | None, grpc_port: int | None, metrics_port: int | None
) -> Settings:
    chosen = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    grpc = {} if grpc_port is None else {"port": grpc_port}
    metrics = {} if metrics_port is None else {"port": metrics_port}
    update = {
        "server": settings.server.model_copy(update=chosen),
        "grpc": settings.grpc.model_copy(update=grpc),
        "metrics": settings.metrics.model_copy(update=metrics),
    }
    return settings.model_copy(update=update)


def main() -> None:
    """The entry point: a refusal of the settings is explained, not raised."""
    try:
        app()
    except SettingsError as error:
        console.explain(error)
        sys.exit(2)
