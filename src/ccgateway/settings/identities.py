"""Who may ask, and as whom each of them is shown to the sites: the sections about identities."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from ccgateway.errors import SettingsError
from ccgateway.settings.base import Frozen, Partial, Seconds, SecretPlace, is_loopback

__all__ = [
    "Algorithm",
    "ApiKeySettings",
    "CallerSettings",
    "ExchangeSettings",
    "IdentitySettings",
    "IssuerSettings",
    "Role",
    "SiteIdentitySettings",
    "check_issuers",
]

#: the gateway's roles are cc-backend's own
Role = Literal["admin", "support", "manager", "user", "api"]
Algorithm = Literal["EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]

#: characters of a subject: names, mail addresses, and what identity providers make of them
SUBJECT = r"[A-Za-z0-9._@:|+/=~-]"
Subject = Annotated[str, Field(min_length=1, max_length=128, pattern=rf"^{SUBJECT}*$")]


class CallerSettings(Frozen):
    """``[caller]``: who asks where nobody has to say so."""

    subject: Subject = Field("local", description="The name of callers who need not say who they are.")
    roles: tuple[Role, ...] | None = Field(
        None,
        description="Their roles; unset, they are admins as long as there are neither issuers nor API keys.",
    )
    anonymous: bool = Field(
        default=False,
        description="With issuers or API keys: say true to serve callers without a token too, as `caller.subject` with "
        "`caller.roles`.",
    )


class IssuerSettings(Frozen):
    """``[issuers.<name>]``: one whose tokens are believed."""

    name: str = ""
    jwks_url: str | None = Field(None, description="Address of the issuer's public keys (JWKS); https, or http on this machine.")
    key_file: Path | None = Field(
        None, description="File with the issuer's one Ed25519 public key: PEM, or base64 as cc-backend has it."
    )
    issuer: str | None = Field(None, min_length=1, description="What `iss` must be; needed with `jwks_url`.")
    audience: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="What `aud` must hold one of; needed with `jwks_url`."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        ("EdDSA", "RS256", "ES256"), min_length=1, description="Algorithms that its tokens may be signed with."
    )
    subject_claim: str = Field("sub", min_length=1, description="The claim that names the caller; a dot leads into it.")
    roles_claim: str = Field("roles", min_length=1, description="The claim that lists roles, such as `realm_access.roles`.")
    roles: dict[str, Role] | None = Field(
        None,
        description="Its words for the gateway's roles; others count for nothing. Unset, its words are the gateway's with "
        "`key_file`, and count for nothing with `jwks_url`.",
    )
    default_role: Literal["admin", "support", "manager", "user", "api", ""] = Field(
        "user", description='Role of those who have no other; `""` for none, which opens nothing.'
    )
    prefix: str | None = Field(
        None,
        pattern=rf"^{SUBJECT}{{0,32}}$",
        description="Put before its subjects; needed with other issuers or API keys. The same says that a name is one person.",
    )
    site_names: dict[str, str] = Field(
        {}, description="Site → the claim that holds the caller's user name there, if the issuer is to be believed that."
    )
    leeway: float = Field(30.0, ge=0, le=300, description="Seconds that clocks may differ.")
    needs_expiry: bool = Field(default=True, description="Refuse tokens that never expire.")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the certificate of `jwks_url`.")
    refresh: Seconds = Field(900.0, description="Seconds after which its keys are read again.")
    refresh_least: Seconds = Field(30.0, description="Seconds between two readings at least, whatever keys tokens name.")
    keep: float = Field(86_400.0, gt=0, description="Seconds for which its keys are used though they cannot be read again.")

    @field_validator("audience", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("jwks_url")
    @classmethod
    def _safe_url(cls, value: str | None) -> str | None:
        return value if value is None else safe_url(value)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.jwks_url is None) == (self.key_file is None):
            raise ValueError("needs either jwks_url or key_file")
        if self.jwks_url is not None and (self.issuer is None or not self.audience):
            raise ValueError("needs issuer and audience with jwks_url, or tokens meant for others would open the gateway")
        return self


class ApiKeySettings(Frozen):
    """``[api_keys.<name>]``: a key of a robot's, of which the gateway knows only the hash."""

    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="Hash of the key, as `ccgateway key` writes it.")
    subject: Subject = Field(description="Who comes with it.")
    roles: tuple[Role, ...] = Field(min_length=1, description="Its roles.")
    site: str | None = Field(
        None, description="The one site that the key is for: nothing else is read with it, and what it writes goes there."
    )
    partial: Partial = Field(
        "serve",
        description="`refuse`: for who comes with the key, an answer from which a site is missing is an error (503), everywhere.",
    )


class IdentitySettings(Frozen):
    """``[identities]``: what holds for every site."""

    table: Path | None = Field(
        None, description="File of people's own tokens and names at the sites (mode 600; read again as it changes)."
    )
    service_roles: tuple[Role, ...] = Field(
        ("admin", "support", "api"),
        description="Roles for which a site's `token` is used, if it can do no more than they may; "
        "`api` counts where it stands alone.",
    )


class ExchangeSettings(Frozen):
    """``[exchange]``: a service that gives a site's token for the caller's own (RFC 8693)."""

    url: str | None = Field(None, description="Address of the service; https, or http on this machine.")
    client_id: str | None = Field(None, min_length=1, description="The gateway's name there.")
    client_secret: SecretStr | None = Field(None, description="The gateway's secret there; by environment variable only.")
    client_secret_file: Path | None = Field(None, description="File that holds the secret.")
    client_secret_env: str | None = Field(None, description="Name of the environment variable that holds the secret.")
    scope: str | None = Field(None, description="Scope to ask for.")
    timeout: Seconds = Field(5.0, description="Seconds the service may take.")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed its certificate.")

    @field_validator("url")
    @classmethod
    def _safe_url(cls, value: str | None) -> str | None:
        return value if value is None else safe_url(value)

    def secret(self) -> SecretPlace:
        """Where the gateway's secret is."""
        return SecretPlace(
            "exchange", "client_secret", "the secret of the gateway at the exchange service",
            self.client_secret, self.client_secret_file, self.client_secret_env,
        )  # fmt: skip


class SiteIdentitySettings(Frozen):
    """The part of ``[sites.<name>]`` that says as whom a caller is shown there."""

    name: str = ""
    token: SecretStr | None = Field(None, description="The site's service token, a JWT; by environment variable only.")
    token_file: Path | None = Field(None, description="File that holds the service token.")
    token_env: str | None = Field(None, description="Name of the environment variable that holds the service token.")
    signing_key: SecretStr | None = Field(
        None,
        description="The site's own JWT_PRIVATE_KEY: each caller is shown by a token of its own. By environment variable only.",
    )
    signing_key_file: Path | None = Field(
        None, description="File that holds the signing key: base64 as cc-backend has it, or PEM."
    )
    signing_key_env: str | None = Field(None, description="Name of the environment variable that holds the signing key.")
    signed_for: float = Field(900.0, ge=120, le=86_400, description="Seconds for which a token signed with it is good.")
    exchange_audience: str | None = Field(
        None, min_length=1, description="What the site is called at the exchange service; unset, that is not asked for it."
    )
    same_names: bool = Field(
        default=False, description="Say true only if a name is the same person at the gateway and at the site."
    )
    name_pattern: str | None = Field(
        None, description="Regular expression over a caller's whole subject; where it fits, `name_template` makes the name there."
    )
    name_template: str = Field(r"\1", description="The user name at the site, from the groups of `name_pattern`.")
    roles: dict[Role, tuple[Role, ...]] | None = Field(
        None, description="The gateway's role → the roles at this site; others count for nothing. Unset, they are the same."
    )

    @field_validator("roles", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {role: (there,) if isinstance(there, str) else there for role, there in value.items()}

    @model_validator(mode="after")
    def _pattern_and_template(self) -> Self:
        if self.name_pattern is not None:
            try:
                pattern = re.compile(self.name_pattern)
            except re.error as error:
                raise ValueError(f"name_pattern is no regular expression ({error.msg})") from None
            try:
                pattern.sub(self.name_template, "")  # reads the whole template, whether or not the pattern fits
            except (re.error, IndexError) as error:
                reason = error.msg if isinstance(error, re.error) else str(error)
                raise ValueError(f"name_template does not fit name_pattern ({reason})") from None
        return self

    def service_token(self) -> SecretPlace:
        """Where the service token is."""
        what = "the site's JWT (on the site: cc-backend -jwt USER)"
        return SecretPlace(f"sites.{self.name}", "token", what, self.token, self.token_file, self.token_env)

    def private_key(self) -> SecretPlace:
        """Where the signing key is."""
        return SecretPlace(
            f"sites.{self.name}", "signing_key", "the site's JWT_PRIVATE_KEY",
            self.signing_key, self.signing_key_file, self.signing_key_env,
        )  # fmt: skip

    def read_token(self) -> SecretStr | None:
        """The service token from wherever the settings say it is; ``None`` if they name none.

        Raises ``SettingsError`` when a named file or variable is missing or empty.
        """
        return self.service_token().read()


def safe_url(value: str) -> str:
    """``value``, if secrets and keys may travel there. Raises ``ValueError``."""
    found = re.fullmatch(r"(https?)://([^/?#\s@]+)(/[^#\s]*)?", value)
    if not found:
        raise ValueError("needs the form https://host[:port]/path, without user or fragment")
    try:
        split = urlsplit(value)
        _ = split.port
    except ValueError:
        raise ValueError("has no proper host or port") from None
    if split.scheme != "https" and not is_loopback(split.hostname or ""):
        raise ValueError("needs https, as it is not on this machine")
    return value


def check_issuers(issuers: Mapping[str, IssuerSettings], api_keys: Mapping[str, ApiKeySettings], sites: Collection[str]) -> None:
    """Refuses issuers whose subjects could be mistaken for others' or for those of API keys, and whatever names unknown sites."""
    for name, api_key in api_keys.items():
        if api_key.site is not None and api_key.site not in sites:
            problem = f"no site {api_key.site[:60]} is configured"
            raise SettingsError(f"api_keys.{name}.site", problem, f"Sites: {', '.join(sites) or 'none'}.")
    for name, issuer in issuers.items():
        for site in issuer.site_names:
            if site not in sites:
                problem = f"no site {site} is configured"
                raise SettingsError(f"issuers.{name}.site_names", problem, f"Sites: {', '.join(sites) or 'none'}.")
        if len(issuers) + bool(api_keys) > 1 and issuer.prefix is None:
            remedy = 'Give each issuer a prefix, such as "sso:"; "" says that a name is one person, whoever it comes from.'
            raise SettingsError(f"issuers.{name}.prefix", "is missing, and names come from elsewhere too", remedy)
    for (one, first), (two, second) in combinations(issuers.items(), 2):
        shorter, longer = sorted((first.prefix or "", second.prefix or ""), key=len)
        if shorter and shorter != longer and longer.startswith(shorter):
            problem = f"begins as that of {one} does, so that one could name the other's callers"
            raise SettingsError(
                f"issuers.{two}.prefix", problem, "Use the same prefix, or one of which neither begins the other."
            )
