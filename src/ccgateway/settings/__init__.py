"""What the operator decides: one TOML file, every value also by environment variable, secrets never in the file.

Sources, strongest first: ``CCGATEWAY_<SECTION>__<KEY>`` environment variables (``CCGATEWAY_SITES__AURORA__URL``; a ``-`` in a
site's name is written ``_``), the TOML file, the defaults below. Values are frozen and handed down; nothing reads them
globally. Every refusal names the key, what is wrong with its value, and the remedy.

base        what all sections share, and where secrets are found
cache       ``[cache]``
grpc        ``[grpc]``
identities  the sections about who may ask, and as whom each is shown to the sites
limits      ``[limits]``
rest        ``[rest]``
telemetry   ``[metrics]``, ``[log]``, ``[traces]``
writes      ``[writes]``
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariableError

from ccgateway.errors import SettingsError
from ccgateway.settings.base import Frozen, Seconds, is_loopback
from ccgateway.settings.cache import CacheSettings
from ccgateway.settings.grpc import GrpcSettings
from ccgateway.settings.identities import (
    ApiKeySettings,
    CallerSettings,
    ExchangeSettings,
    IdentitySettings,
    IssuerSettings,
    SiteIdentitySettings,
    check_issuers,
)
from ccgateway.settings.limits import LimitSettings
from ccgateway.settings.rest import RestSettings
from ccgateway.settings.telemetry import LogSettings, MetricsSettings, TraceSettings
from ccgateway.settings.writes import WriteSettings

__all__ = [
    "SITE_NAME",
    "ApiKeySettings",
    "CacheSettings",
    "CallerSettings",
    "ExchangeSettings",
    "GrpcSettings",
    "IdentitySettings",
    "IssuerSettings",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "Release",
    "RestSettings",
    "Seconds",
    "ServerSettings",
    "Settings",
    "SiteSettings",
    "TraceSettings",
    "WriteSettings",
    "load_settings",
]  # fmt: skip

Release = Literal["auto", "1.2", "1.3", "1.4", "1.5", "howto"]

#: how a site's jobs are read
Reads = Literal["auto", "query", "rest"]

SITE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SITE_NAME_REMEDY = "Use lower-case letters and digits, with a single '-' between them."
PREFIX = "CCGATEWAY_"


class ServerSettings(Frozen):
    """``[server]``: where the gateway listens."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    serve_unauthenticated: bool = Field(
        default=False,
        description="Say true only if everybody who can reach this address may read everything the site tokens can: "
        "without it the gateway refuses to listen anywhere but on loopback.",
    )
    compression: bool = Field(
        default=True,
        description="Pack answers of 4 KB and more with gzip or zstd for callers who accept that; say false where a proxy in "
        "front of the gateway does it, or where processor time is dearer than bandwidth.",
    )
    graphiql: bool = Field(default=True, description="Serve the GraphiQL page to browsers that open /graphql.")
    cors_origins: tuple[str, ...] = Field(
        default=(),
        description='Origins whose pages may use the REST interface, such as "https://portal.example.org"; "*" is any.',
    )

    @field_validator("cors_origins")
    @classmethod
    def _plain_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one != "*" and not re.fullmatch(r"https?://[^/?#\s@]+", one):
                raise ValueError(f"has {one[:60]!r}, which is not of the form https://host[:port]")
        return value

    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.host)


class SiteSettings(SiteIdentitySettings):
    """``[sites.<name>]``: one cc-backend instance."""

    number: int = Field(ge=1, le=999, description="The site's number in integer job ids; never re-use one.")
    url: str = Field(description="Base URL of the instance, e.g. https://cc.example.org.")
    release: Release = Field("auto", description="Release of cc-backend there; auto finds out.")
    required: bool = Field(default=False, description="Refuse an answer rather than give it without this site.")
    timeout: Seconds = Field(10.0, description="Seconds the site may take for its part of one request.")
    connect_timeout: Seconds = Field(3.0, description="Seconds for a connection to open.")
    concurrency: int = Field(8, ge=1, le=256, description="Requests to the site at any one time.")
    retries: int = Field(2, ge=0, le=10, description="How often a safe read is tried again.")
    answer_bytes: int = Field(64 << 20, ge=4096, description="Largest answer accepted from the site, in bytes, unpacked.")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the site's certificate.")
    reads: Reads = Field(
        "auto",
        description="How jobs are read: auto asks the site's own GraphQL (POST /query) for filters, counts and orders that REST "
        "does not have, and for large pages; query asks it for whatever it can answer; rest never does.",
    )
    read_only: bool = Field(default=False, description="Let nothing be written at the site.")
    tags_by_query: bool = Field(
        default=True, description="Use the site's own GraphQL for what its REST interface cannot do to tags (and to list them)."
    )
    clusters: tuple[str, ...] | None = Field(
        None, description="Names of the site's clusters, for writes that name a cluster only; asked of the site if left out."
    )

    same_as: str | None = Field(
        None,
        description="Name of the site that is one and the same instance under another address; jobs of both are listed once.",
    )

    @field_validator("url")
    @classmethod
    def _plain_base_url(cls, value: str) -> str:
        found = re.fullmatch(r"(https?)://([^/?#\s@]+)(/[^?#\s]*)?", value)
        if not found:
            raise ValueError("needs the form http(s)://host[:port][/path] without user, query or fragment")
        try:
            split = urlsplit(value)
            is_proper = split.port != 0 and bool(split.hostname)
        except ValueError:
            is_proper = False
        if not is_proper:
            raise ValueError("has no proper host or port")
        return value.rstrip("/")


class Settings(BaseSettings):
    """Everything the operator decides; see the sections."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    server: ServerSettings = ServerSettings()  # type: ignore[call-arg]
    caller: CallerSettings = CallerSettings()  # type: ignore[call-arg]
    limits: LimitSettings = LimitSettings()  # type: ignore[call-arg]
    rest: RestSettings = RestSettings()  # type: ignore[call-arg]
    grpc: GrpcSettings = GrpcSettings()  # type: ignore[call-arg]
    cache: CacheSettings = CacheSettings()  # type: ignore[call-arg]
    issuers: dict[str, IssuerSettings] = Field(default_factory=dict)
    api_keys: dict[str, ApiKeySettings] = Field(default_factory=dict)
    identities: IdentitySettings = IdentitySettings()  # type: ignore[call-arg]
    exchange: ExchangeSettings = ExchangeSettings()  # type: ignore[call-arg]
    writes: WriteSettings = WriteSettings()  # type: ignore[call-arg]
    metrics: MetricsSettings = MetricsSettings()  # type: ignore[call-arg]
    log: LogSettings = LogSettings()  # type: ignore[call-arg]
    traces: TraceSettings = TraceSettings()  # type: ignore[call-arg]
    sites: dict[str, SiteSettings] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings calls by keyword
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @model_validator(mode="before")
    @classmethod
    def _join_names(cls, data: Any) -> Any:
        """In variables ``_`` stands for the ``-`` of a name."""
        if not isinstance(data, dict):
            return data
        joined = dict(data)
        for kind, is_named in (("sites", True), ("issuers", True), ("api_keys", False)):
            if isinstance(data.get(kind), dict):
                joined[kind] = sections = dict[str, Any]()
                for name, section in data[kind].items():
                    proper = name.replace("_", "-")
                    known = sections.get(proper, {})
                    named = {"name": proper} if is_named else {}
                    sections[proper] = {**known, **section, **named} if isinstance(section, dict) else section
        return joined

    @model_validator(mode="after")
    def _distinct_sites(self) -> Self:
        numbers: dict[int, str] = {}
        for name, site in self.sites.items():
            if not SITE_NAME.fullmatch(name):
                raise SettingsError(f"sites.{name}", "is not a site name", _SITE_NAME_REMEDY)
            if site.number in numbers:
                problem = f"{site.number} is already the number of site {numbers[site.number]}"
                raise SettingsError(f"sites.{name}.number", problem, "Give every site a number of its own, 1 to 999.")
            numbers[site.number] = name
        return self

    @model_validator(mode="after")
    def _one_site_stands_for_its_others(self) -> Self:
        for name, site in self.sites.items():
            other = self.sites.get(site.same_as) if site.same_as is not None else None
            if site.same_as is not None and (other is None or other is site or other.same_as is not None):
                remedy = "Name a site of this file that has no same_as itself."
                raise SettingsError(f"sites.{name}.same_as", "names no other site that stands for itself", remedy)
        return self

    @model_validator(mode="after")
    def _known_callers(self) -> Self:
        for kind, names in (("issuers", self.issuers), ("api_keys", self.api_keys)):
            for name in names:
                if not SITE_NAME.fullmatch(name):
                    raise SettingsError(f"{kind}.{name}", "is not a name", _SITE_NAME_REMEDY)
        check_issuers(self.issuers, self.api_keys, self.sites)
        if self.caller.anonymous and (self.caller.roles is None or not self.authenticates):
            remedy = "Set caller.roles, and an issuer or API keys for those who do say who they are."
            raise SettingsError("caller.anonymous", "it is not said what callers without a token may do", remedy)
        for name, site in self.sites.items():
            if site.exchange_audience is not None and self.exchange.url is None:
                raise SettingsError(f"sites.{name}.exchange_audience", "there is no exchange service", "Set exchange.url.")
            if site.private_key().key is not None and site.signed_for < 2 * self.limits.request_timeout:
                problem = "is less than two requests may take (limits.request_timeout)"
                raise SettingsError(f"sites.{name}.signed_for", problem, "Set it higher: tokens are renewed at half that time.")
        return self

    @property
    def authenticates(self) -> bool:
        """Whether callers can, and unless ``caller.anonymous`` must, say who they are."""
        return bool(self.issuers or self.api_keys)

    def check_exposure(self) -> None:
        """Refuses an address that others can reach, and pages of any origin, while nobody has to say who they are
        (``SettingsError``)."""
        if "*" in self.server.cors_origins and (not self.authenticates or self.caller.anonymous):
            raise SettingsError(
                "server.cors_origins",
                'with "*" every page that somebody opens could ask, and change, whatever callers without a token can',
                "Name the origins of the pages that are meant, or configure an issuer whose tokens callers have to show.",
            )
        if self.server.serve_unauthenticated or (self.authenticates and not self.caller.anonymous):
            return
        listening = {"server.host": self.server.host} | ({} if self.grpc.port is None else {"grpc.host": self.grpc.host})
        exposed = next(((key, host) for key, host in listening.items() if not is_loopback(host)), None)
        if exposed is None:
            return
        key, host = exposed
        raise SettingsError(
            key,
            f"{host} can be reached from other machines, and callers are not authenticated",
            "Listen on 127.0.0.1, or configure an issuer whose tokens callers have to show, or set "
            "server.serve_unauthenticated = true if all who can reach it may read all jobs.",
        )


def load_settings(path: Path | None, *, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from a TOML file (``None``: environment and defaults only), the environment, and ``overrides`` for tests.

    Raises ``SettingsError`` for the first thing that is wrong.
    """
    data: dict[str, Any] = _read_toml(path) if path is not None else {}
    _refuse_secrets(data)
    _refuse_underscores(data)
    if path is not None:
        _resolve_files(data, path.parent)
    try:
        return Settings(**{**data, **(overrides or {})})
    except ValidationError as error:
        raise _first_problem(error) from None
    except UnreadableVariableError as error:
        found = re.search(r'field "(\w+)"', str(error))
        key = found[1] if found else "settings"
        problem = f"the environment variable {PREFIX}{key.upper()} does not hold JSON"
        raise SettingsError(key, problem, f"Take it away, and set single values: {PREFIX}{key.upper()}__<KEY>.") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError(
            str(path), "there is no such file", "Name the settings file with --config, or write one (docs/operate/sites.md)."
        ) from None
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read ({error.strerror})", "Make it readable for the gateway.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"is not valid TOML ({error})", "Correct that line.") from None


def _refuse_secrets(data: dict[str, Any]) -> None:
    cache = data.get("cache")
    if isinstance(cache, dict) and "redis_url" in cache:
        raise SettingsError(
            "cache.redis_url", "a secret may stand in the settings file",
            f"Take it out; use redis_url_file, or the variable {PREFIX}CACHE__REDIS_URL. Replace the password, if one was in it.",
        )  # fmt: skip
    for path, section in _sections(data):
        for key in _SECRETS.intersection(section):
            variable = PREFIX + "__".join(part.upper().replace("-", "_") for part in (*path, key))
            raise SettingsError(
                ".".join((*path, key)), "a secret stands in the settings file",
                f"Take it out (and replace it: files get copied); use {key}_file, {key}_env, or the variable {variable}.",
            )  # fmt: skip


def _refuse_underscores(data: dict[str, Any]) -> None:
    """In variables ``_`` stands for ``-``: a file with ``_`` could name one site twice."""
    for path, _ in _sections(data):
        if len(path) == 2 and "_" in path[1]:
            what = "is not a site name" if path[0] == "sites" else "is not a name"
            raise SettingsError(".".join(path), what, _SITE_NAME_REMEDY)


def _resolve_files(data: dict[str, Any], folder: Path) -> None:
    for path, section in _sections(data):
        for key, value in section.items():
            if (key.endswith("_file") or (path, key) == (("identities",), "table")) and isinstance(value, str):
                section[key] = str(folder / _expanded(value, ".".join((*path, key))))


#: keys whose value is a secret itself
_SECRETS = frozenset({"token", "signing_key", "client_secret"})


def _sections(data: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every section by its path, those that are named included."""
    for kind, section in data.items():
        if isinstance(section, dict):
            if kind in ("sites", "issuers", "api_keys"):
                yield from (((kind, name), named) for name, named in section.items() if isinstance(named, dict))
            else:
                yield (kind,), section


def _expanded(path: str, key: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsError(key, f"{path} names a home directory that does not exist", "Write the whole path.") from None


_REMEDIES = {
    "missing": ("is missing", "Add it"),
    "extra_forbidden": ("is not a setting", "Remove it, or correct its spelling"),
}


def _first_problem(error: ValidationError) -> SettingsError:
    problem = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    what, remedy = _REMEDIES.get(problem["type"], (problem["msg"].removeprefix("Value error, "), "Correct the value"))
    description = _description(problem["loc"])
    return SettingsError(key, what[:1].lower() + what[1:], f"{remedy}: {description}" if description else f"{remedy}.")


def _description(loc: tuple[int | str, ...]) -> str | None:
    model = _MODELS.get(str(loc[0])) if loc else None
    field = model.model_fields.get(str(loc[-1])) if model else None
    return field.description if field else None


_MODELS: dict[str, type[BaseModel]] = {
    "server": ServerSettings,
    "caller": CallerSettings,
    "limits": LimitSettings,
    "rest": RestSettings,
    "grpc": GrpcSettings,
    "cache": CacheSettings,
    "issuers": IssuerSettings,
    "api_keys": ApiKeySettings,
    "identities": IdentitySettings,
    "exchange": ExchangeSettings,
    "writes": WriteSettings,
    "sites": SiteSettings,
}
