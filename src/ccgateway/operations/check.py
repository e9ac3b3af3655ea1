"""Proving a settings file good: every site is asked what the gateway will ask it, and what is wrong is said with what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SettingsError, SiteError
from ccgateway.federation.audit import trouble_with
from ccgateway.jobs.conditions import Conditions
from ccgateway.operations.caching import judge
from ccgateway.operations.calling import how_to_call
from ccgateway.operations.contradictions import contradictions
from ccgateway.operations.findings import CheckResult, Finding, Level, SiteCheck
from ccgateway.operations.identities import check_identities, check_signing, ways_of
from ccgateway.operations.outlook import Looked, find_duplicates, judge_expiry, judge_facts, own_certificates
from ccgateway.operations.portal import check_signing_in
from ccgateway.operations.refusals import advise
from ccgateway.operations.serving import refuse_without_sites
from ccgateway.operations.tokens import TokenFacts, roles_wanted, token_key
from ccgateway.settings import Settings, SiteSettings
from ccgateway.settings.base import is_loopback
from ccgateway.site.base import JobsWanted
from ccgateway.site.credentials import Credential
from ccgateway.site.credentials.table import TokenTable
from ccgateway.site.exchange import CallContext
from ccgateway.site.instance import Instance
from ccgateway.site.registry import Registry
from ccgateway.site.releases import DIALECTS

__all__ = ["check"]

T = TypeVar("T")

#: shown to a site for which there is no token, to see that it is there and refuses it
NO_TOKEN = SecretStr("none")


async def check(settings: Settings, path: Path | None) -> CheckResult:
    """What is good and what is not; reaches every site, reads little, writes nothing."""
    result = CheckResult(str(path) if path else None, [])
    for refuse in (settings.check_exposure, lambda: refuse_without_sites(settings)):
        try:
            refuse()
        except SettingsError as error:
            result.findings.append(Finding.of(error))
    result.findings += await asyncio.to_thread(contradictions, settings, os.environ)
    audit_path = settings.writes.audit_file
    if audit_path is not None and (trouble := trouble_with(audit_path)) is not None:
        problem, remedy = (
            f"{audit_path} cannot be written ({trouble})",
            "Let the gateway's user write to it, also after it is rotated.",
        )
        result.findings.append(Finding(Level.PROBLEM, "writes.audit_file", problem, remedy))
    result.findings += _check_grpc(settings) + own_certificates(settings)
    if settings.grpc.port is not None:
        result.grpc = how_to_call(settings.grpc, authenticates=settings.authenticates and not settings.caller.anonymous)
    held = await check_identities(settings)
    result.findings += held.findings
    result.findings += await check_signing_in(settings)
    async with AsyncExitStack() as stack:
        judging = asyncio.create_task(judge(settings.cache), name="try Redis")
        sites = sorted(settings.sites.values(), key=lambda site: site.number)
        asked = [_Asked(site, stack, settings, held.table) for site in sites]
        await asyncio.gather(*(one.run() for one in asked))
        await find_duplicates([Looked(one.site, one.found, one.instance) for one in asked])
        result.redis, findings = await judging
    result.findings += findings
    result.sites = [one.found for one in asked]
    result.findings += _shared_clusters(result.sites)
    return result


@dataclass(slots=True)
class _Asked:
    """One site while it is being asked; ``instance`` is set once it reads well."""

    site: SiteSettings
    stack: AsyncExitStack
    settings: Settings
    table: TokenTable | None
    found: SiteCheck
    instance: Instance | None

    def __init__(self, site: SiteSettings, stack: AsyncExitStack, settings: Settings, table: TokenTable | None) -> None:
        self.site, self.stack, self.settings, self.table, self.instance = site, stack, settings, table, None
        self.found = SiteCheck(site.name, site.number, site.url, site.release, ways=ways_of(site, settings, table))

    async def run(self) -> None:
        """Fills ``found``: the token by itself, then what the site says to it."""
        _judge_transport(self.site, self.found)
        is_service = True
        try:
            token = self.site.read_token()
        except SettingsError as error:
            self.found.findings.append(Finding.of(error))
            token = None
        else:
            if token is not None or not self.found.ways:
                _judge_source(self.site, self.found, token)
            if token is None and "own" in self.found.ways:
                token, is_service = self._from_table(), False
        try:
            registry = Registry([self.site.model_copy(update={"token": token or NO_TOKEN})])
        except SettingsError as error:
            self.found.findings.append(Finding.of(error))
            return
        self.stack.push_async_callback(registry.aclose)
        instance = registry.one(self.site.name).origin
        await self._try_all(instance, token, is_service=is_service)
        judge_facts(self.site, self.found, instance.health.facts)

    async def _try_all(self, instance: Instance, token: SecretStr | None, *, is_service: bool) -> None:
        credential = Credential.from_token(token or NO_TOKEN)
        signed = await check_signing(
            self.site, self.settings, self.table, self.found, lambda shown: self._ask(instance.find_release(self._context(shown)))
        )
        if token is None and signed is not None and self.found.release is not None:
            # where there is no GraphQL, clusters are told to administrators only
            if self._judge_release(self.found.release) and DIALECTS[self.found.release].query is not None:
                await self._read(instance, signed, TokenFacts.of(signed.token))
            return
        facts = TokenFacts.of(token) if token else None
        self.found.token = facts
        is_expired = facts is not None and judge_expiry(self.site, self.found, facts)
        try:
            release = await self._ask(instance.find_release(self._context(credential)))
        except SiteError as error:
            self._note_refusal(error, facts, is_expired=is_expired)
            if error.code is Code.SITE_UNAUTHORIZED:
                await self._try_table(instance)
            return
        self.found.reachable, self.found.accepted, self.found.release = True, facts is not None, release
        if not self._judge_release(release) or facts is None:
            return
        self._judge_rights(facts, credential, release, is_service=is_service)
        await self._read(instance, credential, facts)
        await self._try_table(instance)

    async def _try_table(self, instance: Instance) -> None:
        """Whose own tokens in the table the site refuses: these people are told nothing of it until they have others."""
        now, entries = datetime.now(UTC), self.table.entries if self.table is not None else {}
        owners = {
            subject: entry.own
            for (subject, site), entry in entries.items()
            if site == self.site.name and entry.own is not None and not TokenFacts.of(entry.own.token).is_worn(now)
        }
        places = asyncio.Semaphore(self.site.concurrency)

        async def is_refused(credential: Credential) -> bool:
            async with places:
                try:
                    await self._ask(instance.greet(self._context(credential)))
                except SiteError as error:
                    return error.code is Code.SITE_UNAUTHORIZED
                return False

        told = await asyncio.gather(*map(is_refused, owners.values()))
        refused = sorted(subject for subject, is_one in zip(owners, told, strict=True) if is_one)
        if refused:
            shown = ", ".join(refused[:20]) + (f" and {len(refused) - 20} more" if len(refused) > 20 else "")
            remedy = "Have new ones issued on the site (cc-backend -jwt USER) and put them into the table."
            problem = f"site {self.site.name} refuses the tokens of {shown}"
            self.found.findings.append(Finding(Level.WARNING, "identities.table", problem, remedy))

    def _from_table(self) -> SecretStr | None:
        """Somebody's own token for the site, to see what answers there."""
        for (_, site), entry in self.table.entries.items() if self.table is not None else ():
            if site == self.site.name and entry.own is not None:
                return entry.own.token
        return None

    def _context(self, credential: Credential) -> CallContext:
        return CallContext(credential, Deadline.after(self.site.timeout))

    async def _ask(self, question: Awaitable[T]) -> T:
        """The answer, within the site's own limit."""
        try:
            async with asyncio.timeout(self.site.timeout):
                return await question
        except TimeoutError:
            raise SiteError(Code.TIMEOUT, self.site.name, "The site did not answer in time.") from None

    def _note_refusal(self, error: SiteError, facts: TokenFacts | None, *, is_expired: bool) -> None:
        self.found.reachable = error.code not in (Code.UNREACHABLE, Code.TIMEOUT, Code.CONNECTION_LOST)
        if error.code is Code.SITE_UNAUTHORIZED:
            if facts is not None:
                self.found.accepted = False
            if facts is None or is_expired:
                return  # a missing or expired token has been told about already
        advice = advise(error, self.site, facts)
        self.found.problem(advice.key, advice.problem, advice.remedy)

    # --- judging what is known

    def _judge_release(self, release: str) -> bool:
        if self.site.release in ("auto", release):
            return True
        problem = f"the settings say {self.site.release}, but cc-backend {release} answers"
        self.found.problem("release", problem, f'Set release = "{release}" (or "auto").')
        return False

    def _judge_rights(self, facts: TokenFacts, credential: Credential, release: str, *, is_service: bool) -> None:
        dialect, key, found = DIALECTS[release], token_key(self.site), self.found
        found.root = dialect.root(credential)
        found.sees = "all jobs" if credential.sees_all else f"jobs of {credential.user}"
        if not dialect.admits(facts.roles, found.root) and facts.is_jwt:
            # it was admitted all the same: with validate-user the site goes by its own list of users
            found.warn(key, f"the token's roles ({', '.join(facts.roles) or 'none'}) do not fit", roles_wanted(dialect))
        if facts.roles == ("api",):
            remedy = "Use a token with the roles admin and api if the scopes of metrics matter."
            found.warn(
                key, "a token with the role api alone reads every job, but cannot choose the scopes of their metrics", remedy
            )
        if is_service and dialect.isolates and not credential.sees_all:
            problem = (
                f"it is the token of an ordinary user, {credential.user}, so those who are shown by it see that one's jobs only"
            )
            remedy = (
                "Use a token with exactly the role api, or with admin and api (identities.service_roles says who is shown by it)."
            )
            found.warn(key, problem, remedy)
        if not dialect.isolates and not credential.sees_all:
            problem = f"cc-backend {release} shows this token everybody's jobs; the gateway shows those of {credential.user} only"
            found.warn(key, problem, "Use this token nowhere but in the gateway, or update the site to 1.4 or later.")

    # --- reading what the gateway will read

    async def _try_query(self, instance: Instance, credential: Credential) -> None:
        """Whether jobs can be read by the site's own GraphQL, where the settings let them."""
        with contextlib.suppress(SiteError):  # whatever it is, REST has answered
            await self._ask(instance.count(self._context(credential), JobsWanted(Conditions(), frozenset())))
        way = instance.reads(credential)
        self.found.reads = "query" if way.by_query else "rest"
        if way.gave_way:
            remedy = 'Let the gateway reach POST /query there, or set reads = "rest": filters and counts then read whole lists.'
            self.found.warn("reads", f"jobs can be read by REST only. {way.why}", remedy)

    async def _read(self, instance: Instance, credential: Credential, facts: TokenFacts) -> None:
        loop, found = asyncio.get_running_loop(), self.found
        started = loop.time()
        try:
            await self._ask(instance.greet(self._context(credential)))
            found.elapsed = loop.time() - started
            clusters = await self._ask(instance.clusters(self._context(credential), with_partitions=False))
        except SiteError as error:
            advice = advise(error, self.site, facts, found.release)
            found.problem(advice.key, advice.problem, advice.remedy)
            return
        found.clusters = [cluster.name for cluster in clusters]
        if missing := sorted(set(self.site.clusters or ()) - set(found.clusters)):
            problem = f"the site has no cluster {', '.join(missing)}, so what is written there by that name is lost"
            found.problem("clusters", problem, f"It has {', '.join(found.clusters) or 'none'}: name those, or leave the key out.")
        self.instance = instance
        await self._try_query(instance, credential)
        if "admin" in facts.roles:
            try:
                users = {user.username for user in await self._ask(instance.users(self._context(credential)))}
                found.users = len(users)
                if users and facts.subject not in users:
                    problem = f"the token is of the user {facts.subject}, whom the site does not know (any more) and may refuse"
                    remedy = "Add the user there (cc-backend -add-user …), or issue a token for one who exists."
                    found.warn(token_key(self.site), problem, remedy)
            except SiteError as error:
                advice = advise(error, self.site, facts, found.release)
                found.warn(advice.key, f"the site does not list its users: {advice.problem}", advice.remedy)


def _judge_source(site: SiteSettings, found: SiteCheck, token: SecretStr | None) -> None:
    if token is None:
        variable = f"CCGATEWAY_SITES__{site.name.upper().replace('-', '_')}__TOKEN"
        remedy = (
            f"Issue one on the site (cc-backend -jwt USER), put it into a file and set token_file, "
            f"or set the environment variable {variable}."
        )
        found.problem("token_file", "no token is configured, so the site will never be asked", remedy)


def _judge_transport(site: SiteSettings, found: SiteCheck) -> None:
    split = urlsplit(site.url)
    host = split.hostname or ""
    if split.scheme == "http" and not is_loopback(host):
        found.warn("url", "the token and all answers cross the network unencrypted", "Use https:// if the site offers it.")


def _check_grpc(settings: Settings) -> list[Finding]:
    grpc = settings.grpc
    if grpc.port is None:
        return []
    try:
        has_tls = grpc.read_tls() is not None
    except SettingsError as error:
        return [Finding.of(error)]
    if has_tls or grpc.is_loopback():
        return []
    remedy = "Set cert_file and key_file, or let a proxy in front of it end TLS."
    return [Finding(Level.WARNING, "grpc.cert_file", "tokens and answers cross the network unencrypted", remedy)]


def _shared_clusters(sites: list[SiteCheck]) -> list[Finding]:
    found = []
    for one, two in combinations(sites, 2):
        common = sorted(set(one.clusters) & set(two.clusters))
        if common and not (one.same_as or two.same_as):
            problem = f"{one.name} and {two.name} both have a cluster {', '.join(common)}"
            remedy = "Nothing needs to be done; but who asks for a job by its cluster has to name the site as well."
            found.append(Finding(Level.WARNING, f"sites.{two.name}", problem, remedy))
    return found
