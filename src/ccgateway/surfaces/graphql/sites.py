"""``Site``, and ``SiteReport``: what one site contributed to one answer."""

from __future__ import annotations

from enum import Enum

import strawberry

from ccgateway.federation import questions
from ccgateway.surfaces.graphql.fields import computed
from ccgateway.surfaces.graphql.scalars import Time

__all__ = ["ReportStatus", "Site", "SiteFailure", "SiteReport"]


@strawberry.enum(name="SiteReportStatus", description="How one site took part in an answer.")
class ReportStatus(Enum):
    OK = strawberry.enum_value("OK", description="Everything asked of it is in the answer.")
    PARTIAL = strawberry.enum_value("PARTIAL", description="Something of it is missing; code and message say what.")
    FAILED = strawberry.enum_value("FAILED", description="Nothing, or nothing more, came from it.")
    SKIPPED = strawberry.enum_value("SKIPPED", description="It was not asked, and nothing is missing because of that.")


@strawberry.type(description="What one site contributed to one answer.")
class SiteReport:
    site: str = strawberry.field(description="The site's name.")
    number: int = strawberry.field(description="The site's number in integer job ids.")
    status: ReportStatus = strawberry.field(description="How it took part.")
    code: str | None = strawberry.field(description="The error code, as in `extensions.code`; null if nothing is missing.")
    message: str | None = strawberry.field(description="What happened, in words; null if nothing is missing.")
    retryable: bool = strawberry.field(description="Whether asking again a little later may help.")
    retry_after: int | None = strawberry.field(description="Seconds after which to ask again; null where nothing tells.")
    elapsed: float = strawberry.field(description="Seconds it took.")
    calls: int = strawberry.field(
        description="HTTP requests sent to it; where the gateway hides other people's jobs, 1 for any number."
    )
    scanned: int = strawberry.field(description="Jobs read from it.")
    returned: int = strawberry.field(description="Items of it in the answer.")
    cache_age: float | None = strawberry.field(description="Age in seconds of what came from a cache; null if nothing did.")
    notes: list[str] = strawberry.field(description="What else there is to know, such as why a count could not be had.")


@strawberry.type(description="The newest failure of a site.")
class SiteFailure:
    code: str = strawberry.field(description="The error code, as in `extensions.code`.")
    message: str = strawberry.field(description="What happened, in words.")
    at: Time | None = strawberry.field(description="When.")
    retryable: bool = strawberry.field(description="Whether asking again a little later may help.")


def _last_error(site: strawberry.Parent[questions.SiteStatus]) -> SiteFailure | None:
    error = site.last_error
    if error is None:
        return None
    at = None if site.last_error_at is None else Time(int(site.last_error_at))
    return SiteFailure(code=error.code.value, message=error.message, at=at, retryable=error.retryable)


def _breaker(site: strawberry.Parent[questions.SiteStatus]) -> Breaker:
    return Breaker(site.breaker.value)


@strawberry.type(description="How the caller's jobs of a site are read.")
class SiteReads:
    way: str = strawberry.field(
        description="`query`: by the site's own GraphQL where that takes less work (filters, counts and orders that REST does "
        "not have), else by REST. `rest`: all by REST."
    )
    why: str = strawberry.field(description="Why, in words; also what keeps the gateway from the other way for now.")


@strawberry.enum(name="SiteBreaker", description="Whether failures of a site keep questions from it (`CIRCUIT_OPEN`).")
class Breaker(Enum):
    CLOSED = strawberry.enum_value("CLOSED", description="Everybody asks it.")
    OPEN = strawberry.enum_value("OPEN", description="It is not asked, but looked after by the gateway itself.")
    HALF_OPEN = strawberry.enum_value("HALF_OPEN", description="It answered a look, and has to answer more before it is asked.")


@strawberry.type(description="How long a site takes, as the newest requests to it that it answered have shown.")
class SiteLatency:
    calls: int = strawberry.field(description="How many requests that is.")
    p50: float = strawberry.field(description="Seconds that half of them took at the most.")
    p95: float = strawberry.field(description="Seconds that 95 of 100 took at the most.")
    p99: float = strawberry.field(description="Seconds that 99 of 100 took at the most.")


@strawberry.type(description="One cc-backend instance behind the gateway, as it is now.")
class Site:
    name: str = strawberry.field(description="The site's name, as in `Job.site` and in job ids.")
    number: int = strawberry.field(description="The site's number in integer job ids.")
    release: str | None = strawberry.field(
        description="The release of cc-backend there, as configured or found; null if not yet known."
    )
    configured_release: str = strawberry.field(description="What the settings say about the release; `auto` means to find out.")
    required: bool = strawberry.field(description="Whether answers are refused rather than given without this site.")
    reachable: bool = strawberry.field(description="Whether it answered just now.")
    since: Time = strawberry.field(description="Since when that is so.")
    elapsed: float | None = strawberry.field(description="Seconds its answer took; null if it gave none.")
    breaker: Breaker = computed(
        _breaker,
        description="`OPEN` or `HALF_OPEN` while its failures keep questions from it, be it those with one token.",
    )
    breaker_since: Time = strawberry.field(description="Since when that is so.")
    last_error: SiteFailure | None = computed(
        _last_error, description="Its newest failure; null if it had none. In words only to those who may see everything."
    )
    latency: SiteLatency | None = strawberry.field(
        description="How long it takes, whoever asks; null to those who may not see everything, and before it has answered."
    )
    capabilities: list[str] = strawberry.field(description="What the release there can do that not every release can.")
    reads: SiteReads | None = strawberry.field(
        description="How the caller's jobs there are read; null where the caller is not let in."
    )
    page_url: str | None = strawberry.field(
        description="Base URL of the site's own pages: a job's is `/monitoring/job/` and its number there. Null where the "
        "settings name none, or the caller is not let in."
    )
    same_as: str | None = strawberry.field(
        description="The other site that is one and the same instance, if two are; only one of them is asked."
    )
