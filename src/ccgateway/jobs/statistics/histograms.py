"""Histograms: of durations in fixed bins, of numbers as they are, of metrics in bins of one width that fits every site's peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import gcd, isfinite

import msgspec

__all__ = [
    "MOST_BINS",
    "Durations",
    "MetricAxis",
    "MetricPeak",
    "SiteBins",
    "align",
    "duration_bins",
    "metric_bin",
    "scale_of",
    "spread",
]

#: bins of a metric that a site is asked for at the most
MOST_BINS = 1000

_DURATIONS = {"1m": (60, 60), "10m": (72, 600), "1h": (48, 3600), "6h": (12, 21_600), "12h": (14, 43_200)}


@dataclass(frozen=True, slots=True)
class Durations:
    """``count`` bins of ``size`` seconds; ``word`` is what a site is asked with."""

    word: str
    count: int
    size: int

    def points(self, counts: Mapping[int, int]) -> list[tuple[int, int]]:
        """(upper edge in seconds, jobs) of every bin, empty ones too."""
        return [(n * self.size, counts.get(n * self.size, 0)) for n in range(1, self.count + 1)]

    def edge(self, seconds: int) -> int | None:
        """The upper edge of the bin of a duration; ``None``: it lies beyond the last."""
        bin_ = max(seconds, 0) // self.size
        return (bin_ + 1) * self.size if bin_ < self.count else None

    def from_hours(self, counts: Mapping[int, int]) -> dict[int, int] | None:
        """Counts by whole hours → counts by upper edge; ``None`` where bins are finer than hours."""
        if self.size % 3600:
            return None
        found: dict[int, int] = {}
        for hours, jobs in counts.items():
            edge = self.edge(hours * 3600)
            if edge is not None:
                found[edge] = found.get(edge, 0) + jobs
        return found


def duration_bins(word: str | None) -> Durations:
    """The bins that a word of cc-backend's means: ``1m``, ``10m``, ``1h`` (if none), ``6h``, ``12h``; any other is ``24h``."""
    word = "1h" if word is None else word
    count, size = _DURATIONS.get(word, (24, 3600))
    return Durations(word if word in _DURATIONS else "24h", count, size)


# --- metrics

_PREFIXES = {"": 0, "K": 3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18, "m": -3, "u": -6, "n": -9}


def scale_of(prefix: str | None) -> Fraction | None:
    """What one unit with that prefix is in units without; ``None`` for a prefix that is none."""
    power = _PREFIXES.get(prefix or "")
    return None if power is None else Fraction(10) ** power


@dataclass(frozen=True, slots=True)
class MetricPeak:
    """What one site says of a metric: its unit, the value at which its bins end, and which statistic of a job is counted."""

    site: str
    base: str
    prefix: str
    peak: float
    stat: str | None

    @property
    def unit(self) -> str:
        """The unit in one word."""
        return self.prefix + self.base


class SiteBins(msgspec.Struct, frozen=True):
    """Into how many bins one site divides its range from 0 to its peak, and how many of those make one bin of the answer.

    ``key``: the footprint's key that is counted."""

    metric: str
    unit: str
    stat: str
    peak: float
    bins: int
    per_bin: int

    @property
    def key(self) -> str:
        return f"{self.metric}_{self.stat}"


@dataclass(frozen=True, slots=True)
class MetricAxis:
    """The bins of the answer, and what each site is asked for so that they fit."""

    metric: str
    unit: str
    stat: str
    peak: float
    bins: int
    sites: Mapping[str, SiteBins]
    is_exact: bool

    def points(self, counts: Mapping[int, int]) -> list[tuple[int, int, int, int]]:
        """(bin from 1, lower edge, upper edge, jobs), edges as whole numbers the way cc-backend prints them."""
        step = int(self.peak) // self.bins
        return [(n, step * (n - 1), step * n, counts.get(n, 0)) for n in range(1, self.bins + 1)]


def align(metric: str, peaks: Sequence[MetricPeak], bins: int) -> MetricAxis | str:
    """One axis for all sites, or why there is none."""
    if not peaks:
        return f"No site that has matching jobs says what {metric} can reach."
    bases, stats = {one.base for one in peaks}, {one.stat for one in peaks}
    if len(bases) > 1:
        return f"Sites measure {metric} in units that cannot be converted: {', '.join(sorted(one.unit for one in peaks))}."
    if len(stats) > 1 or None in stats:
        return f"Sites keep different statistics of {metric}, or none, in their footprints."
    scales = {one.site: scale_of(one.prefix) for one in peaks}
    if any(scale is None for scale in scales.values()) or any(not isfinite(one.peak) or one.peak <= 0 for one in peaks):
        return f"A site says of {metric} what is no unit or no peak."
    reaches = {one.site: Fraction(repr(one.peak)) * (scales[one.site] or 1) for one in peaks}
    largest = max(peaks, key=lambda one: reaches[one.site])
    whole = reaches[largest.site]
    is_one = len(set(reaches.values())) == 1
    width = whole / bins if is_one else reduce(_common, reaches.values(), whole / bins)
    if whole / width > MOST_BINS and not is_one:
        return f"The sites' peaks of {metric} have no common width of bins (of at most {MOST_BINS} each)."
    per_bin = int(whole / bins / width)
    stat = largest.stat or ""
    sites = {one.site: SiteBins(metric, one.unit, stat, one.peak, int(reaches[one.site] / width), per_bin) for one in peaks}
    return MetricAxis(metric, largest.unit, stat, largest.peak, bins, sites, is_one)


def _common(one: Fraction, other: Fraction) -> Fraction:
    """The greatest width of which both are multiples."""
    denominator = one.denominator * other.denominator // gcd(one.denominator, other.denominator)
    return Fraction(gcd(int(one * denominator), int(other * denominator)), denominator)


def metric_bin(value: float, bins: SiteBins) -> int | None:
    """The site's own bin (from 1) of a value, by cc-backend's formula; ``None`` above the peak."""
    if value > bins.peak or not isfinite(value):
        return None
    share = 0.999999999 if value == bins.peak else value / bins.peak
    place = int(share * bins.bins) + 1
    return place if 1 <= place <= bins.bins else None


def spread(counts: Mapping[int, int], bins: SiteBins) -> dict[int, int]:
    """Counts by the site's own bins → counts by the bins of the answer."""
    found: dict[int, int] = {}
    for place, jobs in counts.items():
        into = (place - 1) // bins.per_bin + 1
        found[into] = found.get(into, 0) + jobs
    return found
