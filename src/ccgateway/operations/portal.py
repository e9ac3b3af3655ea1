"""Proving good what the settings say of signing in to the portal: the keys of its sessions, and the identity provider."""

from __future__ import annotations

from ccgateway.errors import SettingsError
from ccgateway.identity.callers import Callers
from ccgateway.identity.fetching import FetchError
from ccgateway.identity.relying_party import Provider, RelyingParty
from ccgateway.operations.findings import Finding, Level
from ccgateway.settings import IssuerSettings, Settings
from ccgateway.surfaces.portal.sessions import own_key, session_keys
from ccgateway.surfaces.portal.signing_in import CALLBACK_PATH

__all__ = ["check_signing_in"]


async def check_signing_in(settings: Settings) -> list[Finding]:
    """Whether people can sign in: everything that can be known without one of them. Nothing where nobody is meant to.

    The provider is asked for its discovery document, shown the client with a code that is none, and the address that browsers
    are sent to.
    """
    if not settings.portal.signs_in:
        return []
    findings = _check_keys(settings)
    issuer = settings.issuers[settings.portal.oidc.issuer or ""]
    try:
        callers = Callers(settings)
    except SettingsError:
        return findings  # which is told where issuers are
    try:
        party = RelyingParty(callers, issuer, settings.portal.oidc, f"{settings.portal.url}{CALLBACK_PATH}")
    except SettingsError as error:
        return [*findings, Finding.of(error)]
    finally:
        await callers.aclose()
    try:
        findings += await _check_provider(party, issuer, settings.portal.oidc.secret().key)
    finally:
        await party.aclose()
    return findings


def _check_keys(settings: Settings) -> list[Finding]:
    place = settings.portal.keys()
    try:
        session_keys(place, own_key())
    except SettingsError as error:
        return [Finding.of(error)]
    if place.key is not None:
        return []
    remedy = "Write one (openssl rand -base64 32 > secrets/session, chmod 600), unless that does not matter."
    problem = "without a key, everybody has to sign in again whenever the gateway is started"
    return [Finding(Level.WARNING, "portal.session_key_file", problem, remedy)]


async def _check_provider(party: RelyingParty, issuer: IssuerSettings, secret_key: str | None) -> list[Finding]:
    name = f"issuers.{issuer.name}"
    try:
        provider = await party.read_now()
    except (FetchError, ValueError) as error:
        problem = f"people cannot sign in there, as its discovery document cannot be used: {error}"
        remedy = "Set it as the provider's .well-known/openid-configuration has it, and let the gateway reach that."
        return [Finding(Level.PROBLEM, f"{name}.issuer", problem, remedy)]
    findings = _compare(provider, issuer)
    try:
        await party.try_client(provider)
    except (FetchError, ValueError) as error:
        problem = f"codes cannot be redeemed: {error}"
        remedy = "Compare client id and secret with the client at the provider, and let the gateway reach its token endpoint."
        findings.append(Finding(Level.PROBLEM, secret_key or "portal.oidc.client_id", problem, remedy))
    try:
        await party.try_address(provider)
    except FetchError as error:
        problem = f"the provider does not let browsers sign in for this client: {error}"
        remedy = f"Register the redirect address {party.redirect_uri} at the provider, exactly."
        findings.append(Finding(Level.WARNING, "portal.url", problem, remedy))
    return findings


def _compare(provider: Provider, issuer: IssuerSettings) -> list[Finding]:
    """What the provider says of itself, held against what the settings say of it."""
    name, findings = f"issuers.{issuer.name}", []
    if provider.jwks_uri and provider.jwks_uri != issuer.jwks_url:
        problem = "the provider says that its keys are elsewhere"
        remedy = "Set it to the jwks_uri of its .well-known/openid-configuration, unless both have the same keys."
        findings.append(Finding(Level.WARNING, f"{name}.jwks_url", problem, remedy))
    signed_by = provider.id_token_signing_alg_values_supported
    if signed_by is not None and not set(signed_by).intersection(issuer.algorithms):
        problem = f"the provider signs by none of {', '.join(issuer.algorithms)}"
        known = [one for one in signed_by if one.isalnum()][:10]
        remedy = f"Name one that it signs by: {', '.join(known) or 'it names none'}."
        findings.append(Finding(Level.PROBLEM, f"{name}.algorithms", problem, remedy))
    return findings
