"""What is good now and will not stay so, or is there twice: tokens that expire, and sections that lead to one instance.

``ccgateway check`` says it, and so does a gateway that has just started, in its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ccgateway.deadline import Deadline
from ccgateway.errors import SettingsError, SiteError
from ccgateway.federation.duplicates import address_of, look_alike
from ccgateway.identity.principal import Principal
from ccgateway.operations.findings import Finding, Level, SiteCheck
from ccgateway.operations.refusals import ISSUE
from ccgateway.operations.tokens import TokenFacts, token_key, token_source
from ccgateway.settings import Settings, SiteSettings
from ccgateway.site.base import Site
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext
from ccgateway.site.facts import SiteFacts
from ccgateway.site.registry import Registry
from ccgateway.site.watching import MOST_SKEW

__all__ = ["OPERATOR", "SOON", "Looked", "find_duplicates", "judge_expiry", "tell_outlook"]

log = logging.getLogger("ccgateway.outlook")

#: a token or a certificate that expires within this is worth a word; and how its end is written
SOON, MOMENT = 14 * 86400, "%Y-%m-%d %H:%M"
OPERATOR = Principal("ccgateway check")


@dataclass(slots=True)
class Looked:
    """A site, what was found out about it, and, once it reads well, the site itself."""

    site: SiteSettings
    found: SiteCheck
    instance: Site | None = None


def judge_expiry(site: SiteSettings, found: SiteCheck, facts: TokenFacts) -> bool:
    """Notes that the token expires soon, or has expired; whether it has."""
    left = facts.seconds_left(datetime.now(UTC))
    if left is None or left > SOON or facts.expires is None:
        return False
    key, issue, when = token_key(site), ISSUE.format(source=token_source(site)), f"{facts.expires:{MOMENT}} UTC"
    if left <= 0:
        found.problem(key, f"the token expired on {when}", issue)
    else:
        found.warn(key, f"the token expires on {when}", issue)
    return left <= 0


def judge_facts(site: SiteSettings, found: SiteCheck, facts: SiteFacts) -> None:
    """Notes that the site's certificate expires soon, or that its clock and this machine's differ."""
    if facts.certificate_expires is not None:
        expires = datetime.fromtimestamp(facts.certificate_expires, UTC)
        if (expires - datetime.now(UTC)).total_seconds() <= SOON:
            remedy = "Renew it there: once it has expired, the gateway does not talk to the site any more."
            found.warn("url", f"the TLS certificate of {urlsplit(site.url).hostname} expires on {expires:{MOMENT}} UTC", remedy)
    skew = facts.clock_skew
    if skew is not None and abs(skew) > MOST_SKEW:
        problem = f"the site's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
        found.warn("url", problem, "Have both set by a time service (NTP): tokens are accepted and refused by these clocks.")


def own_certificates(settings: Settings) -> list[Finding]:
    """That those which the gateway shows to its callers expire soon, or have."""
    found = []
    for key, read in (("server.tls_cert", settings.server.read_tls), ("grpc.cert_file", settings.grpc.read_tls)):
        with contextlib.suppress(SettingsError, ValueError):  # told of by those who have to use it
            pair = read()
            if pair is None or (left := (pair.expires() - datetime.now(UTC)).total_seconds()) > SOON:
                continue
            level, verb = (Level.PROBLEM, "expired") if left <= 0 else (Level.WARNING, "expires")
            remedy = "Put a new one and its key there: both are taken over by themselves."
            found.append(Finding(level, key, f"the certificate {verb} on {pair.expires():{MOMENT}} UTC", remedy))
    return found


async def find_duplicates(looked: Sequence[Looked]) -> None:
    """Two sections that lead to one instance, or that look like it. Told once, of the later one."""
    for number, two in enumerate(looked):
        two.found.same_as = two.site.same_as
        for one in looked[:number]:
            if {one.site.same_as, one.site.name} & {two.site.same_as, two.site.name} - {None}:
                break  # the operator knows
            if address_of(one.site.url) == address_of(two.site.url):
                two.found.same_as = one.site.name
                two.found.problem("url", f"this is the same instance as site {one.site.name}", "Remove one of the two sections.")
                break
            if one.instance and two.instance and set(one.found.clusters) & set(two.found.clusters):
                deadline = Deadline.after(max(one.site.timeout, two.site.timeout))
                if await look_alike(one.instance, two.instance, OPERATOR, deadline):
                    name = one.site.name
                    problem = f"it gives the same jobs as site {name}: it is the same instance, or repeats what that one says"
                    remedy = (
                        f'If it is, remove one of the two sections, or set same_as = "{name}"; if not, remove the one that lies.'
                    )
                    two.found.problem("same_as", problem, remedy)
                    break


async def tell_outlook(settings: Settings) -> None:
    """Logs it, having asked every site that has a service token for its clusters, and those that share some for a few jobs."""
    async with AsyncExitStack() as stack:
        sites = sorted(settings.sites.values(), key=lambda site: site.number)
        looked = await asyncio.gather(*(_look(site, stack) for site in sites))
        await find_duplicates(looked)
    for findings in (own_certificates(settings), *(one.found.findings for one in looked)):
        for finding in findings:
            log.warning("%s: %s. %s", finding.key, finding.problem, finding.remedy)


async def _look(site: SiteSettings, stack: AsyncExitStack) -> Looked:
    looked = Looked(site, SiteCheck(site.name, site.number, site.url, site.release))
    try:
        token = site.read_token()
    except SettingsError:
        return looked  # told of already
    if token is None:
        return looked
    facts = TokenFacts.of(token)
    if facts.is_jwt and judge_expiry(site, looked.found, facts):
        return looked
    registry = Registry([site.model_copy(update={"token": token})])
    stack.push_async_callback(registry.aclose)
    instance = registry.one(site.name)
    context = CallContext(Credential.from_token(token), Deadline.after(site.timeout))
    try:
        async with asyncio.timeout(site.timeout):
            clusters = await instance.clusters(context, with_partitions=False)
    except (SiteError, TimeoutError):
        return looked  # whether it can be asked is the requests' affair
    looked.found.clusters, looked.instance = [cluster.name for cluster in clusters], instance
    return looked
