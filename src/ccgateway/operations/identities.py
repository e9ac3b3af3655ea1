"""Proving good what the settings say of identities: keys of issuers, the table, the exchange service, signing keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SettingsError, SiteError
from ccgateway.identity.callers import Callers, bearer_of
from ccgateway.identity.ed25519 import mint, private_key_of
from ccgateway.identity.fetching import FetchError
from ccgateway.identity.issuers import Issuer
from ccgateway.identity.keysets import RemoteKeys
from ccgateway.identity.principal import Principal
from ccgateway.operations.findings import Finding, Level, SiteCheck
from ccgateway.operations.refusals import advise
from ccgateway.operations.tokens import TokenFacts
from ccgateway.settings import Settings, SiteSettings
from ccgateway.site.credentials import Credential, Credentials
from ccgateway.site.credentials.keyring import Keyring
from ccgateway.site.credentials.minted import roles_for_token
from ccgateway.site.credentials.standing import Standings
from ccgateway.site.credentials.table import TokenTable
from ccgateway.site.credentials.token_exchange import ExchangeError, TokenExchange

__all__ = ["PROBE", "Held", "check_identities", "check_signing", "ways_of"]

#: in whose name a token is signed to see whether the site accepts it: nobody's
PROBE = "ccgateway-check"


@dataclass(frozen=True, slots=True)
class Held:
    """What was found of the gateway's own side: findings, and the table where it can be used."""

    findings: list[Finding]
    table: TokenTable | None


async def check_identities(settings: Settings) -> Held:
    """Everything about identities that is not one site's."""
    findings: list[Finding] = []
    table: TokenTable | None = None
    try:
        callers = Callers(settings)
    except SettingsError as error:
        findings.append(Finding.of(error))
    else:
        told = await asyncio.gather(*(_check_issuer(issuer) for issuer in callers.issuers))
        findings += [finding for finding in told if finding is not None]
        await callers.aclose()
    if settings.identities.table is not None:
        try:
            table = TokenTable(settings.identities.table)
        except SettingsError as error:
            findings.append(Finding.of(error))
        else:
            findings += _check_table(table, settings.sites)
    if settings.exchange.url is not None:
        findings += await _check_exchange(settings)
    findings += await _check_keys(settings)
    return Held(findings, table)


async def _check_keys(settings: Settings) -> list[Finding]:
    """Whether who comes with an API key gets a token at the sites that it is for, as far as nobody has to be asked for it."""
    try:
        keyring = Keyring(settings)
    except SettingsError:
        return []  # told of with what is wrong
    findings = []
    try:
        found = {}
        for name, site in settings.sites.items():
            with suppress(SettingsError):  # told of with the site
                found[name] = keyring.credentials(site)
        for name, section in settings.api_keys.items():
            bearer = bearer_of(name, section)
            asked = {
                site: one
                for site, one in found.items()
                if section.site in (None, site) and one.at_once and site not in keyring.unreadable
            }
            without = [site for site, one in asked.items() if not await _has_token(one, bearer)]
            if without:
                problem = f"{section.subject!r} with the roles {', '.join(section.roles)} gets no token at {', '.join(without)}"
                remedy = (
                    "A site's service token is for some roles only (identities.service_roles); a token that is signed needs a "
                    "name there: name_pattern or the table, where the subject is no user's name."
                )
                findings.append(Finding(Level.WARNING, f"api_keys.{name}", problem, remedy))
    finally:
        await keyring.aclose()
    return findings


async def _has_token(credentials: Credentials, bearer: Principal) -> bool:
    try:
        return await credentials.of(bearer, Deadline.after(5.0)) is not None
    except SiteError:
        return False


async def _check_issuer(issuer: Issuer) -> Finding | None:
    if not isinstance(issuer.keys, RemoteKeys):
        return None
    try:
        await issuer.keys.read_now()
    except (FetchError, ValueError) as error:
        key = f"issuers.{issuer.settings.name}.jwks_url"
        remedy = "Set it to the issuer's jwks_uri, as its .well-known/openid-configuration names it."
        return Finding(Level.PROBLEM, key, f"its keys cannot be read: {error}", remedy)
    return None


def _check_table(table: TokenTable, sites: Iterable[str]) -> list[Finding]:
    unknown = sorted({site for _, site in table.entries}.difference(sites))
    findings = []
    if unknown:
        problem = f"it names sites that are not configured: {', '.join(unknown)[:200]}"
        findings.append(Finding(Level.WARNING, "identities.table", problem, "Correct their names, or take them out."))
    worn: dict[str, list[str]] = {}
    for (subject, site), entry in table.entries.items():
        facts = TokenFacts.of(entry.own.token) if entry.own is not None else None
        if facts is not None and facts.is_worn(datetime.now(UTC)):
            worn.setdefault(site, []).append(subject)
    for site, subjects in sorted(worn.items()):
        problem = f"tokens for {site} are expired or no JWT: those of {', '.join(sorted(subjects))[:200]}"
        remedy = "Have new ones issued on the site (cc-backend -jwt USER) and put them into the table."
        findings.append(Finding(Level.WARNING, "identities.table", problem, remedy))
    return findings


async def _check_exchange(settings: Settings) -> list[Finding]:
    findings = []
    if not settings.authenticates:
        problem = "callers show no token that could be exchanged"
        findings.append(Finding(Level.PROBLEM, "exchange.url", problem, "Configure the issuer of their tokens."))
    try:
        service = TokenExchange(settings.exchange)
        try:
            await service.probe()
        finally:
            await service.aclose()
    except SettingsError as error:
        findings.append(Finding.of(error))
    except ExchangeError as error:
        findings.append(Finding(Level.PROBLEM, "exchange.url", str(error), "Set it to the service's token endpoint."))
    return findings


def ways_of(site: SiteSettings, settings: Settings, table: TokenTable | None) -> list[str]:
    """How callers come to a token for the site, in the order in which it is tried."""
    ways = [
        (table is not None and any(where == site.name and entry.own for (_, where), entry in table.entries.items()), "own"),
        (site.private_key().key is not None, "signed"),
        (settings.exchange.url is not None and site.exchange_audience is not None, "exchanged"),
        (site.service_token().key is not None, "service"),
    ]
    return [name for is_there, name in ways if is_there]


async def check_signing(
    site: SiteSettings,
    settings: Settings,
    table: TokenTable | None,
    found: SiteCheck,
    ask: Callable[[Credential], Awaitable[str]],
) -> Credential | None:
    """Whether anybody has a name at the site, and whether it accepts what is signed with its key: then one such credential.

    ``ask``: for the release that answers to a credential. A site that does not answer at all is told about elsewhere.
    """
    place = site.private_key()
    try:
        Standings(site, table)
        text = place.read(many_lines=True)
        key = private_key_of(text, place.key or "") if text is not None else None
    except SettingsError as error:
        found.findings.append(Finding.of(error))
        return None
    if key is None:
        return None
    setting = (place.key or "").rpartition(".")[2]
    if not _names_anybody(site, settings, table):
        problem = "nobody has a name at the site, so nobody gets a token that is signed with it"
        remedy = "Say how names are found: same_names, name_pattern, site_names of an issuer, or identities.table."
        found.warn(setting, problem, remedy)
    roles = roles_for_token({"user"}) or ()
    signed = Credential.with_roles(mint(key, PROBE, roles, now=time.time(), lifetime=120), PROBE, roles)
    try:
        release = await ask(signed)
    except SiteError as error:
        if error.code is Code.SITE_UNAUTHORIZED:
            _note_refusal(site, found, setting, error, signed)
        return None
    found.release, found.reachable, found.accepted = release, True, True
    return signed


def _note_refusal(site: SiteSettings, found: SiteCheck, setting: str, error: SiteError, signed: Credential) -> None:
    if "unknown user" in error.message:  # its signature was accepted: the site looks its users up (validate-user)
        found.reachable = found.accepted = True
    elif any(words in error.message for words in ("signature", "verification error", "key is invalid")):
        problem, remedy = "the site does not accept tokens signed with it", "Put the JWT_PRIVATE_KEY of this site there."
        found.problem(setting, problem, remedy)
    else:
        advice = advise(error, site, TokenFacts.of(signed.token))
        if advice.key.startswith("token"):
            advice = replace(advice, key=setting, remedy="Compare the clocks of both machines, and the key with the site's.")
        found.problem(advice.key, advice.problem, advice.remedy)


def _names_anybody(site: SiteSettings, settings: Settings, table: TokenTable | None) -> bool:
    by_table = table is not None and any(where == site.name and entry.user for (_, where), entry in table.entries.items())
    by_issuer = any(site.name in issuer.site_names for issuer in settings.issuers.values())
    return site.same_names or site.name_pattern is not None or by_table or by_issuer
