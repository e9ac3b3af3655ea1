"""What belongs to a job and is no part of its row: the jobs beside it, and its energy by what used it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ccgateway.jobs.model import Int64

__all__ = ["EnergyPart", "JobLink", "JobLinks"]


class JobLink(msgspec.Struct, rename="camel"):
    """A job by its site's own number, and by the scheduler's."""

    id: int
    job_id: Int64


@dataclass(frozen=True, slots=True)
class JobLinks:
    """The jobs that shared a host with another."""

    items: Sequence[JobLink]


class EnergyPart(msgspec.Struct):
    """Energy in kWh, as it was computed from one metric. ``hardware``: what used it, as the site guesses by the metric's name."""

    hardware: str
    metric: str
    value: float
