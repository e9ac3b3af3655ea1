"""``[portal]``: the pages for browsers, and how people sign in to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from ccgateway.errors import SettingsError
from ccgateway.settings.base import Frozen, SecretPlace
from ccgateway.settings.identities import IssuerSettings, safe_url

__all__ = ["OidcSettings", "PortalSettings", "check_portal"]

Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]


class OidcSettings(Frozen):
    """``[portal.oidc]``: the identity provider that people sign in at, by OpenID Connect."""

    issuer: str | None = Field(
        None,
        min_length=1,
        description="Name of the section of `issuers` (with `jwks_url`) at which people sign in to the portal; its keys, claims "
        "and roles hold for them as for tokens. Left out: nobody signs in.",
    )
    client_id: str | None = Field(None, min_length=1, description="What the gateway is called at the identity provider.")
    client_secret: SecretStr | None = Field(
        None, description="The gateway's secret there, if it is a confidential client; by environment variable only."
    )
    client_secret_file: Path | None = Field(None, description="File that holds this secret.")
    client_secret_env: str | None = Field(None, description="Name of the environment variable that holds this secret.")
    scopes: tuple[Scope, ...] = Field(("openid", "profile"), description="Scopes to ask for; `openid` must be among them.")

    @field_validator("scopes")
    @classmethod
    def _is_openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError("needs openid, or the provider proves nobody")
        return value

    def secret(self) -> SecretPlace:
        """Where the gateway's secret is."""
        return SecretPlace(
            "portal.oidc", "client_secret", "the secret of the gateway at the identity provider",
            self.client_secret, self.client_secret_file, self.client_secret_env,
        )  # fmt: skip


class PortalSettings(Frozen):
    """``[portal]``: what browsers are shown."""

    enabled: bool = Field(default=True, description="Serve the portal.")
    url: str | None = Field(
        None,
        description="Address at which browsers have the gateway, such as https://jobs.example.org; https, or http on this "
        "machine. Needed with `portal.oidc.issuer`.",
    )
    session_hours: float = Field(8.0, ge=0.01, le=168, description="Hours after which people have to sign in again.")
    session_key: SecretStr | None = Field(None, description="Keys of the sessions; by environment variable only.")
    session_key_file: Path | None = Field(
        None,
        description="File with the keys of the sessions, one a line: 32 random bytes in base64 each. The first seals, all of "
        "them open. Without any, sessions end with the process.",
    )
    session_key_env: str | None = Field(None, description="Name of the environment variable that holds the keys of the sessions.")
    oidc: OidcSettings = Field(default=OidcSettings(), description="Signing in by OpenID Connect.")  # type: ignore[call-arg]

    @field_validator("url")
    @classmethod
    def _is_an_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        split = urlsplit(safe_url(value))
        if split.path not in ("", "/") or split.query:
            raise ValueError("needs the form https://host[:port], without a path")
        standard = {"http": 80, "https": 443}[split.scheme]
        host = f"[{split.hostname}]" if ":" in (split.hostname or "") else split.hostname
        # as browsers write it in Origin
        return f"{split.scheme}://{host}" + ("" if split.port in (None, standard) else f":{split.port}")

    def keys(self) -> SecretPlace:
        """Where the keys of the sessions are."""
        what = "a key on each line: 32 random bytes in base64 (openssl rand -base64 32)"
        return SecretPlace("portal", "session_key", what, self.session_key, self.session_key_file, self.session_key_env)

    @property
    def signs_in(self) -> bool:
        """Whether people sign in to the portal by OpenID Connect."""
        return self.enabled and self.oidc.issuer is not None

    def check_workers(self, workers: int, *, have_redis: bool) -> None:
        """Refuses several processes that could not open one another's sessions, or would not learn that one is over
        (``SettingsError``)."""
        if workers == 1 or not self.signs_in:
            return
        if self.keys().key is None:
            raise SettingsError(
                "portal.session_key_file",
                f"no key is configured, so {workers} workers could not open one another's sessions",
                "Write one (openssl rand -base64 32 > secrets/session, chmod 600), or serve with one worker.",
            )
        if not have_redis:
            raise SettingsError(
                "cache.redis_url_file",
                f"no Redis is configured, so {workers} workers would not learn of one another who has signed out",
                "Name a Redis, or serve with one worker.",
            )


def check_portal(portal: PortalSettings, issuers: Mapping[str, IssuerSettings]) -> None:
    """Refuses a portal at whose issuer nobody could sign in (``SettingsError``)."""
    oidc = portal.oidc
    if oidc.issuer is None:
        if oidc.client_id is not None:
            raise SettingsError("portal.oidc.issuer", "is missing", "Name the section of issuers at which people sign in.")
        return
    issuer = issuers.get(oidc.issuer)
    if issuer is None:
        named = ", ".join(issuers) or "none"
        remedy = f"Name one of these: {named}; or add [issuers.NAME] with the provider's issuer, jwks_url and audience."
        raise SettingsError("portal.oidc.issuer", "is the name of no section of issuers", remedy)
    if issuer.jwks_url is None or issuer.issuer is None:
        remedy = "Name an issuer that has a jwks_url: an identity provider that speaks OpenID Connect."
        raise SettingsError("portal.oidc.issuer", "people cannot sign in at an issuer that is but a key", remedy)
    try:
        safe_url(issuer.issuer)
    except ValueError as error:
        remedy = "Set it as the provider's .well-known/openid-configuration has it."
        raise SettingsError(f"issuers.{issuer.name}.issuer", f"is no address to sign in at: it {error}", remedy) from None
    for key, value in (("oidc.client_id", oidc.client_id), ("url", portal.url)):
        if value is None:
            fields = {**PortalSettings.model_fields, **OidcSettings.model_fields}
            remedy = f"Add it: {fields[key.rpartition('.')[2]].description}"
            raise SettingsError(f"portal.{key}", "is missing", remedy)
