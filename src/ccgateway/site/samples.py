"""What there is to tell Prometheus of each site as it stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ccgateway.site.base import Site
from ccgateway.site.breaker import BreakerState
from ccgateway.site.credentials import Credentials
from ccgateway.telemetry.samples import Sample

__all__ = ["Told", "site_samples"]


@dataclass(frozen=True, slots=True)
class Told:
    """One site, and what is known of it beside its answers."""

    site: Site
    credentials: Credentials


#: as the metric writes them
_BREAKER = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def site_samples(sites: Iterable[Told]) -> Iterator[Sample]:
    """Each of them."""
    for one in sites:
        name, health = one.site.name, one.site.health
        yield Sample("ccgateway_site_up", (name,), float(health.reachable))
        yield Sample("ccgateway_site_jobs_read_total", (name, "pushdown"), health.pushed_down)
        yield Sample("ccgateway_site_jobs_read_total", (name, "residual"), health.residual)
        if one.site.release is not None:
            yield Sample("ccgateway_site_release_info", (name, one.site.release), 1)
        known = {
            "ccgateway_site_last_change_timestamp_seconds": health.since or None,
            "ccgateway_site_token_expiry_timestamp_seconds": one.credentials.expires,
            "ccgateway_site_clock_skew_seconds": health.facts.clock_skew,
            "ccgateway_site_certificate_expiry_timestamp_seconds": health.facts.certificate_expires,
            "ccgateway_site_breaker_state": _BREAKER[health.breaker],
        }
        for metric, value in known.items():
            if value is not None and math.isfinite(value):
                yield Sample(metric, (name,), value)
