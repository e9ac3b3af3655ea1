"""The five sites of ``ccgateway demo``: one per dialect, each with its own cluster, zone and key.

:func:`demo_sites` makes them; :func:`site_of` makes a single one with generated jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ccgateway.simulator.generated import GeneratedJobs
from ccgateway.simulator.site import SimulatedSite

__all__ = ["demo_sites", "site_of"]

_COMMIT = 15.0  # seconds until a started job shows at the 1.5 site; cc-backend's own two minutes are long for a demo
_SITES = (  # name and cluster, release, zone, jobs
    ("aurora", "1.5", "UTC", 4000),
    ("borealis", "1.4", "Europe/Berlin", 3500),
    ("cygnus", "1.3", "Europe/Berlin", 3000),
    ("draco", "1.2", "Europe/Berlin", 2500),
    ("eridanus", "howto", "UTC", 2000),
)
_RESAMPLING = {"1.5": 240, "1.4": 600}  # seconds, as a new instance of the release is set up


def demo_sites(*, clock: Callable[[], float] = time.time, days: int = 14) -> list[SimulatedSite]:
    """Five sites with a few thousand jobs each from the last *days* days, some of them running."""
    return [
        SimulatedSite(
            name,
            release,
            GeneratedJobs(count, name, seed=number, until=int(clock()), span=days * 86400),
            zone=zone,
            clock=clock,
            commit=_COMMIT,
            resampling=_RESAMPLING.get(release, 0),
        )
        for number, (name, release, zone, count) in enumerate(_SITES, 1)
    ]


def site_of(
    release: str,
    jobs: int,
    *,
    cluster: str = "synth",
    seed: int = 1,
    until: int | None = None,
    zone: str = "UTC",
    commit: float = 120.0,
    archiving: float = 1.0,
) -> SimulatedSite:
    """One site with *jobs* generated jobs."""
    generated = GeneratedJobs(jobs, cluster, seed=seed, until=until)
    return SimulatedSite(cluster, release, generated, zone=zone, commit=commit, archiving=archiving)
