"""What is wrong with settings by themselves, before any site is asked: names that nobody reads, places of secrets that do not
count, times that contradict one another, ports that are taken."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from ccgateway.errors import SettingsError
from ccgateway.operations.findings import Finding, Level
from ccgateway.operations.listening import bind, is_taken, reserved
from ccgateway.settings import PREFIX, ServerSettings, Settings, SiteSettings
from ccgateway.settings.base import SecretPlace

__all__ = ["contradictions"]

#: seconds that whoever listens on the gateway's port gets to say that it is one
PATIENCE = 2.0


def contradictions(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """The findings about ``settings``, and about the variables of ``environment`` that look like ours."""
    return [
        *_unread_variables(settings, environment),
        *_places(settings),
        *_times(settings),
        *_ports(settings),
    ]


def _unread_variables(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    named = {getattr(site, key) for site in settings.sites.values() for key in ("token_env", "signing_key_env")}
    named.add(settings.exchange.client_secret_env)
    sections = {name.upper() for name in type(settings).model_fields}
    for variable in sorted(environment):
        section, _, key = variable.removeprefix(PREFIX).partition("__")
        if not variable.startswith(PREFIX) or variable in named or section in sections:
            continue
        known = {f"{PREFIX}{name.upper()}" for name in type(settings).model_fields}
        single = [name for name in sections if section.startswith(f"{name}_")]
        if not (single or key):
            continue  # somebody else's: of the users' commands, of Kubernetes, which names services so
        if single and not key:
            rest = section.removeprefix(f"{single[0]}_")
            meant = f"{PREFIX}{single[0]}__{rest}"
        else:
            close = get_close_matches(f"{PREFIX}{section}", known, n=1)
            meant = f"{close[0]}__{key}" if close else "a section, two underscores and a key"
        yield Finding(Level.PROBLEM, variable, "this variable is no setting, and nobody reads it", f"Is {meant} meant?")


def _places(settings: Settings) -> Iterator[Finding]:
    for site in settings.sites.values():
        yield from _doubled(site.service_token())
        yield from _doubled(site.private_key())
    yield from _doubled(settings.exchange.secret())


def _doubled(place: SecretPlace) -> Iterator[Finding]:
    found = (("", place.value), ("_file", place.file), ("_env", place.env))
    keys = [f"{place.name}{suffix}" for suffix, value in found if value is not None]
    if len(keys) > 1:
        others = " and ".join(keys[1:])
        problem = f"{keys[0]} counts; {others} beside it is not looked at"
        yield Finding(Level.WARNING, f"{place.section}.{keys[1]}", problem, "Take all but one of them away.")


def _times(settings: Settings) -> Iterator[Finding]:
    limits = settings.limits
    for site in settings.sites.values():
        yield from _times_of(site, settings)
    if limits.patience >= limits.request_timeout:
        problem = f"{limits.patience:g} s, which no request has (limits.request_timeout = {limits.request_timeout:g})"
        yield _longer("limits.patience", problem)
    if settings.grace < limits.request_timeout:
        problem = f"{settings.grace:g} s: requests that take longer are cut at the end, though limits.request_timeout lets them"
        yield Finding(
            Level.WARNING, "server.grace", problem, f"Set it above {limits.request_timeout:g}, or take it away for that."
        )


def _times_of(site: SiteSettings, settings: Settings) -> Iterator[Finding]:
    key, limits, cache = f"sites.{site.name}", settings.limits, settings.cache
    if site.timeout > limits.request_timeout:
        yield _longer(f"{key}.timeout", f"{site.timeout:g} s, but a request ends after {limits.request_timeout:g}")
    if site.connect_timeout >= site.timeout:
        yield _longer(f"{key}.connect_timeout", f"{site.connect_timeout:g} s, of {site.timeout:g} in all (timeout)")
    if cache.is_on and site.timeout > cache.fill_timeout:
        yield _longer(f"{key}.timeout", f"{site.timeout:g} s, but a fetch ends after {cache.fill_timeout:g} (cache.fill_timeout)")


def _longer(key: str, problem: str) -> Finding:
    return Finding(Level.WARNING, key, problem, "Set it lower, or the other one higher.")


def _ports(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if server.unix_socket is not None:
        if is_taken(server.unix_socket) and not _is_gateway_at(server):
            problem, remedy = f"something else listens at {server.unix_socket}", "Stop it, or choose another path."
            yield Finding(Level.PROBLEM, "server.unix_socket", problem, remedy)
        return
    try:
        bind(server).close()
    except SettingsError as error:
        # a gateway that runs with these settings is what is meant to be there, its port for gRPC included
        if not _is_gateway_at(server):
            yield Finding.of(error)
        return
    try:
        with reserved(settings):
            pass
    except SettingsError as error:
        yield Finding.of(error)


def _is_gateway_at(server: ServerSettings) -> bool:
    """Whether who listens there speaks as the gateway does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host.strip("[]"))  # noqa: S104 - compared, not bound
    try:
        if server.unix_socket is not None:
            connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PATIENCE)
            connection.sock.connect(str(server.unix_socket))
        elif server.tls_cert is not None:
            # nothing is told to it and nothing of it believed
            import ssl

            connection = http.client.HTTPSConnection(
                host, server.port, timeout=PATIENCE, context=ssl._create_unverified_context()  # noqa: S323
            )  # fmt: skip
        else:
            connection = http.client.HTTPConnection(host, server.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/health/live", headers={"Host": "localhost"})
            return connection.getresponse().read(100) == b'{"status":"live"}'
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False
