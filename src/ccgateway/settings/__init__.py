"""What the operator decides: one TOML file, every value also by environment variable, secrets never in the file.

Sources, strongest first: ``CCGATEWAY_<SECTION>__<KEY>`` environment variables (``CCGATEWAY_SITES__AURORA__URL``; a ``-`` in a
site's name is written ``_``), the TOML file, the defaults below. Values are frozen and handed down; nothing reads them
globally. Every refusal names the key, what is wrong with its value, and the remedy.

base        what all sections share, and where secrets are found
tls         a certificate and its key, as they are read at one moment
cache       ``[cache]``
grpc        ``[grpc]``
export      ``[export]``
identities  the sections about who may ask, and as whom each is shown to the sites
limits      ``[limits]``
portal      ``[portal]``
rest        ``[rest]``
server      ``[server]``
sites       ``[sites.NAME]``
telemetry   ``[metrics]``, ``[log]``, ``[traces]``
writes      ``[writes]``
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariableError

from ccgateway.errors import SettingsError
from ccgateway.settings.base import Seconds, is_loopback
from ccgateway.settings.cache import CacheSettings
from ccgateway.settings.export import ExportSettings
from ccgateway.settings.grpc import GrpcSettings
from ccgateway.settings.identities import (
    ApiKeySettings,
    CallerSettings,
    ExchangeSettings,
    IdentitySettings,
    IssuerSettings,
    check_issuers,
)
from ccgateway.settings.limits import LimitSettings
from ccgateway.settings.portal import PortalSettings, check_portal
from ccgateway.settings.rest import RestSettings
from ccgateway.settings.server import ServerSettings
from ccgateway.settings.sites import SITE_NAME, Release, SiteSettings
from ccgateway.settings.telemetry import LogSettings, MetricsSettings, TraceSettings
from ccgateway.settings.writes import WriteSettings

__all__ = [
    "PREFIX",
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
    "PortalSettings",
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

_SITE_NAME_REMEDY = "Use lower-case letters and digits, with a single '-' between them."
PREFIX = "CCGATEWAY_"
#: seconds by which requests get longer to end than one may take
GRACE_BEYOND = 5.0


class Settings(BaseSettings):
    """Everything the operator decides; see the sections."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    server: ServerSettings = ServerSettings()  # type: ignore[call-arg]
    log: LogSettings = LogSettings()  # type: ignore[call-arg]
    caller: CallerSettings = CallerSettings()  # type: ignore[call-arg]
    limits: LimitSettings = LimitSettings()  # type: ignore[call-arg]
    rest: RestSettings = RestSettings()  # type: ignore[call-arg]
    grpc: GrpcSettings = GrpcSettings()  # type: ignore[call-arg]
    export: ExportSettings = ExportSettings()  # type: ignore[call-arg]
    cache: CacheSettings = CacheSettings()  # type: ignore[call-arg]
    issuers: dict[str, IssuerSettings] = Field(default_factory=dict)
    api_keys: dict[str, ApiKeySettings] = Field(default_factory=dict)
    identities: IdentitySettings = IdentitySettings()  # type: ignore[call-arg]
    exchange: ExchangeSettings = ExchangeSettings()  # type: ignore[call-arg]
    writes: WriteSettings = WriteSettings()  # type: ignore[call-arg]
    portal: PortalSettings = PortalSettings()  # type: ignore[call-arg]
    metrics: MetricsSettings = MetricsSettings()  # type: ignore[call-arg]
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
    def _ports_apart(self) -> Self:
        taken: dict[int, str] = {} if self.server.unix_socket is not None else {self.server.port: "server"}
        for name, port in (("grpc", self.grpc.port), ("metrics", self.metrics.port)):
            if port and port in taken:
                problem = f"{port} is the port of {taken[port]}, too"
                raise SettingsError(f"{name}.port", problem, "Give each a port of its own.")
            if port:
                taken[port] = name
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
        check_portal(self.portal, self.issuers)
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

    @property
    def grace(self) -> float:
        """Seconds that requests under way get to end when the gateway stops."""
        return self.server.grace if self.server.grace is not None else self.limits.request_timeout + GRACE_BEYOND

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
        listening = {} if self.server.unix_socket is not None else {"server.host": self.server.host}
        if self.grpc.port is not None:
            listening["grpc.host"] = self.grpc.host
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

    def check_workers(self) -> None:
        """Refuses several processes that could not tell one another what they have to (``SettingsError``)."""
        self.cache.check_workers(self.server.workers, take_writes=self.writes.enabled)
        self.portal.check_workers(self.server.workers, have_redis=self.cache.has_redis)


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
        raise _unreadable_variable(found[1] if found else "settings") from None


def _unreadable_variable(key: str) -> SettingsError:
    """What is wrong with the environment's variables of that section."""
    whole = f"{PREFIX}{key.upper()}"
    fields = getattr(Settings.model_fields[key].annotation, "model_fields", {}) if key in Settings.model_fields else {}
    for name, text in os.environ.items():
        section, _, field = name.lower().partition("__")
        if section != whole.lower() or field not in fields:
            continue
        if get_origin(fields[field].annotation) in (tuple, list, frozenset, dict) and not _is_json(text):
            problem = f"the environment variable {name} does not hold JSON"
            return SettingsError(f"{key}.{field}", problem, 'Write lists as JSON, such as ["a", "b"].')
    remedy = f"Take it away, and set single values: {whole}__<KEY>."
    return SettingsError(key, f"the environment variable {whole} does not hold JSON", remedy)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(
            str(path), "there is no such file", "Name the settings file with --config, or write one (docs/operate/sites.md)."
        ) from None
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read ({error.strerror})", "Make it readable for the gateway.") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SettingsError(str(path), f"is not in UTF-8 (line {line})", "Save it in UTF-8.") from None
    except (ValueError, RecursionError) as error:  # among them Python's own, of numbers and nesting beyond all measure
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
        if path[0] in _NAMED and len(path) == 2 and "_" in path[1]:
            what = "is not a site name" if path[0] == "sites" else "is not a name"
            raise SettingsError(".".join(path), what, _SITE_NAME_REMEDY)


def _resolve_files(data: dict[str, Any], folder: Path) -> None:
    for path, section in _sections(data):
        for key, value in section.items():
            if (key.endswith("_file") or (*path, key) in _PATHS) and isinstance(value, str):
                section[key] = str(folder / _expanded(value, ".".join((*path, key))))


#: kinds of sections that have names; keys whose value is a path, beside those that end in ``_file``
_NAMED = ("sites", "issuers", "api_keys")
_PATHS = {("identities", "table"), *(("server", key) for key in ("unix_socket", "control_socket", "tls_cert", "tls_key"))}
#: keys whose value is a secret itself
_SECRETS = frozenset({"token", "signing_key", "client_secret", "session_key"})


def _sections(data: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every section by its path, those that are named included."""
    for kind, section in data.items():
        if isinstance(section, dict):
            if kind in _NAMED:
                yield from (((kind, name), named) for name, named in section.items() if isinstance(named, dict))
            else:
                yield (kind,), section
                yield from (((kind, name), nested) for name, nested in section.items() if isinstance(nested, dict))


def _expanded(path: str, key: str) -> Path:
    if "\0" in path:
        raise SettingsError(key, "has a character that no path has", "Write the path as it is.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsError(key, f"{path} names a home directory that does not exist", "Write the whole path.") from None


_REMEDIES = {
    "missing": ("is missing", "Add it"),
    "extra_forbidden": ("is not a setting", "Remove it, or correct its spelling"),
}


def _first_problem(error: ValidationError) -> SettingsError:
    problems = error.errors(include_url=False, include_input=False)
    misspelt = (one for one in problems if one["type"] == "extra_forbidden" and _meant(one["loc"]))
    problem = next(misspelt, problems[0])  # what is missing may be what is misspelt
    key = ".".join(str(part) for part in problem["loc"])
    what, remedy = _REMEDIES.get(problem["type"], (problem["msg"].removeprefix("Value error, "), "Correct the value"))
    description = _description(problem["loc"])
    if problem["type"] == "extra_forbidden" and (meant := _meant(problem["loc"])):
        remedy += f" ({meant}?)"
    return SettingsError(key, what[:1].lower() + what[1:], f"{remedy}: {description}" if description else f"{remedy}.")


def _meant(loc: tuple[int | str, ...]) -> str | None:
    """The name that was perhaps meant by the last one, which is unknown."""
    model = Settings if len(loc) == 1 else _MODELS.get(".".join(map(str, loc[:-1]))) or _MODELS.get(str(loc[0]))
    close = get_close_matches(str(loc[-1]), model.model_fields, n=1) if model is not None else []
    return close[0] if close else None


def _description(loc: tuple[int | str, ...]) -> str | None:
    model = _MODELS.get(".".join(map(str, loc[:-1]))) or _MODELS.get(str(loc[0])) if loc else None
    field = model.model_fields.get(str(loc[-1])) if model else None
    return field.description if field else None


def _models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section, with what it holds; sections within sections too, and of sections with names what each of them holds."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        model: Any = get_args(kind)[-1] if get_origin(kind) is dict else kind
        yield name, model
        for key, inner in model.model_fields.items():
            if isinstance(inner.annotation, type) and issubclass(inner.annotation, BaseModel):
                yield f"{name}.{key}", inner.annotation


_MODELS = dict(_models())
