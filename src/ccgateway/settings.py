"""What the operator decides: one TOML file, every value also by environment variable, secrets never in the file.

Sources, strongest first: ``CCGATEWAY_<SECTION>__<KEY>`` environment variables (``CCGATEWAY_SITES__AURORA__URL``; a ``-`` in a
site's name is written ``_``), the TOML file, the defaults below. Values are frozen and handed down; nothing reads them
globally. Every refusal names the key, what is wrong with its value, and the remedy.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariableError

from ccgateway.errors import SettingsError

__all__ = ["CallerSettings", "LimitSettings", "Release", "ServerSettings", "Settings", "SiteSettings", "load_settings"]

Release = Literal["auto", "1.2", "1.3", "1.4", "1.5", "howto"]
Seconds = Annotated[float, Field(gt=0, le=3600)]

SITE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SITE_NAME_REMEDY = "Use lower-case letters and digits, with a single '-' between them."
PREFIX = "CCGATEWAY_"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServerSettings(_Frozen):
    """``[server]``: where the gateway listens."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
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

    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


class CallerSettings(_Frozen):
    """``[caller]``: who every caller is, until callers have identities of their own."""

    subject: str = Field("local", min_length=1, description="The name under which calls appear in logs.")


class LimitSettings(_Frozen):
    """``[limits]``: what one request may cost."""

    request_timeout: Seconds = Field(30.0, description="Seconds one request may take in all.")
    patience: float = Field(
        3.0,
        ge=0,
        description="Seconds that slower sites get once the first has answered (PARTIAL only, required sites excepted); "
        "0 waits for every site's own timeout.",
    )
    read_ahead: float = Field(
        2.0, ge=0, le=60, description="Seconds that jobs read beyond a page are kept for the next page; 0 keeps none."
    )
    body_bytes: int = Field(1 << 20, ge=1024, description="Largest request body, in bytes.")
    query_depth: int = Field(15, ge=3, description="How deep a GraphQL selection may nest.")
    query_aliases: int = Field(30, ge=0, description="How many aliases one GraphQL document may use.")
    query_tokens: int = Field(5000, ge=100, description="How many tokens one GraphQL document may have.")
    query_cost: int = Field(50_000, ge=100, description="Highest cost of one GraphQL operation (jobs × sites and the like).")
    page_jobs: int = Field(10_000, ge=1, description="Largest page of jobs.")
    metrics_bytes: int = Field(256 << 20, ge=1024, description="Bytes of metrics in one answer.")
    scan_budget: int = Field(50_000, ge=1, description="Jobs read from one site for one request that needs a scan.")


class SiteSettings(_Frozen):
    """``[sites.<name>]``: one cc-backend instance."""

    name: str = ""
    number: int = Field(ge=1, le=999, description="The site's number in integer job ids; never re-use one.")
    url: str = Field(description="Base URL of the instance, e.g. https://cc.example.org.")
    release: Release = Field("auto", description="Release of cc-backend there; auto finds out.")
    token: SecretStr | None = Field(None, description="JWT for the site; by environment variable only.")
    token_file: Path | None = Field(None, description="File that holds the JWT for the site.")
    token_env: str | None = Field(None, description="Name of the environment variable that holds the JWT for the site.")
    required: bool = Field(default=False, description="Refuse an answer rather than give it without this site.")
    timeout: Seconds = Field(10.0, description="Seconds the site may take for its part of one request.")
    connect_timeout: Seconds = Field(3.0, description="Seconds for a connection to open.")
    concurrency: int = Field(8, ge=1, le=256, description="Requests to the site at any one time.")
    retries: int = Field(2, ge=0, le=10, description="How often a safe read is tried again.")
    answer_bytes: int = Field(64 << 20, ge=4096, description="Largest answer accepted from the site, in bytes, unpacked.")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the site's certificate.")

    @field_validator("url")
    @classmethod
    def _plain_base_url(cls, value: str) -> str:
        found = re.fullmatch(r"(https?)://([^/?#\s@]+)(/[^?#\s]*)?", value)
        if not found:
            raise ValueError("needs the form http(s)://host[:port][/path] without user, query or fragment")
        try:
            _ = urlsplit(value).port
        except ValueError:
            raise ValueError("has no proper host or port") from None
        return value.rstrip("/")

    def read_token(self) -> SecretStr | None:
        """The site's token from wherever the settings say it is; ``None`` if they name none.

        Raises ``SettingsError`` when a named file or variable is missing or empty.
        """
        key = f"sites.{self.name}"
        if self.token is not None:
            return self._checked(self.token.get_secret_value().strip(), f"{key}.token", "it is set, but empty")
        if self.token_file is not None:
            try:
                text = self.token_file.read_text().strip()
            except (OSError, ValueError) as error:
                if _looks_like_a_token(self.token_file.name):
                    raise _token_instead_of_its_place(f"{key}.token_file", "the path of a file that holds it") from None
                reason = error.strerror if isinstance(error, OSError) else "it is not text"
                problem = f"{self.token_file} cannot be read ({reason})"
                raise SettingsError(
                    f"{key}.token_file", problem, "Put the site's JWT into that file, readable by the gateway."
                ) from None
            return self._checked(text, f"{key}.token_file", f"{self.token_file} is empty")
        if self.token_env is not None:
            if _looks_like_a_token(self.token_env):
                raise _token_instead_of_its_place(f"{key}.token_env", "the name of an environment variable that holds it")
            return self._checked(os.environ.get(self.token_env, "").strip(), f"{key}.token_env", f"{self.token_env} is not set")
        return None

    def _checked(self, text: str, key: str, if_empty: str) -> SecretStr:
        if not text:
            raise SettingsError(key, if_empty, "Put the site's JWT there (on the site: cc-backend -jwt USER).")
        if not text.isascii() or any(c.isspace() for c in text):
            raise SettingsError(key, "what stands there is not one token", "It must hold the JWT alone, on one line.")
        return SecretStr(text)


def _looks_like_a_token(text: str) -> bool:
    return len(text) > 40 and text.count(".") >= 2


def _token_instead_of_its_place(key: str, place: str) -> SettingsError:
    remedy = f"Give {place}; and replace the token, as this file may have been read."
    return SettingsError(key, "looks like the token itself (it is not shown)", remedy)


class Settings(BaseSettings):
    """Everything the operator decides; see the sections."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    server: ServerSettings = ServerSettings()  # type: ignore[call-arg]
    caller: CallerSettings = CallerSettings()  # type: ignore[call-arg]
    limits: LimitSettings = LimitSettings()  # type: ignore[call-arg]
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
    def _join_site_names(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("sites"), dict):
            return data
        sites: dict[str, Any] = {}
        for name, section in data["sites"].items():
            proper = name.replace("_", "-")
            sites[proper] = {**sites.get(proper, {}), **section, "name": proper} if isinstance(section, dict) else section
        return {**data, "sites": sites}

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

    def check_exposure(self) -> None:
        """Refuses an address that others can reach while nobody has to say who they are (``SettingsError``)."""
        if not self.server.is_loopback() and not self.server.serve_unauthenticated:
            raise SettingsError(
                "server.host",
                f"{self.server.host} can be reached from other machines, and callers are not authenticated",
                "Listen on 127.0.0.1, or set server.serve_unauthenticated = true if all who can reach it may read all jobs.",
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
            str(path), "there is no such file", "Name the settings file with --config, or write one (see README)."
        ) from None
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read ({error.strerror})", "Make it readable for the gateway.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"is not valid TOML ({error})", "Correct that line.") from None


def _refuse_secrets(data: dict[str, Any]) -> None:
    sites = data.get("sites")
    for name, section in sites.items() if isinstance(sites, dict) else ():
        if isinstance(section, dict) and "token" in section:
            variable = f"{PREFIX}SITES__{name.upper().replace('-', '_')}__TOKEN"
            raise SettingsError(
                f"sites.{name}.token", "a secret stands in the settings file",
                f"Take it out (and replace the token: files get copied); use token_file, token_env, or the variable {variable}.",
            )  # fmt: skip


def _refuse_underscores(data: dict[str, Any]) -> None:
    """In variables ``_`` stands for ``-``: a file with ``_`` could name one site twice."""
    sites = data.get("sites")
    for name in sites if isinstance(sites, dict) else ():
        if "_" in name:
            raise SettingsError(f"sites.{name}", "is not a site name", _SITE_NAME_REMEDY)


def _resolve_files(data: dict[str, Any], folder: Path) -> None:
    for name, section in data["sites"].items() if isinstance(data.get("sites"), dict) else ():
        if isinstance(section, dict):
            for key in ("token_file", "ca_file"):
                if isinstance(section.get(key), str):
                    section[key] = str(folder / _expanded(section[key], f"sites.{name}.{key}"))


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
    models: dict[str, type[BaseModel]] = {
        "server": ServerSettings,
        "caller": CallerSettings,
        "limits": LimitSettings,
        "sites": SiteSettings,
    }
    model = models.get(str(loc[0])) if loc else None
    field = model.model_fields.get(str(loc[-1])) if model else None
    return field.description if field else None
