"""Statistics of one site: told by its own GraphQL where its release evaluates the filter rightly, else counted from rows.

Up to 1.3 nobody is isolated there: whoever may not see all is asked for as the owner, in every filter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from ccgateway.errors import Code, SiteError, forget_frames
from ccgateway.jobs.conditions import EARLIEST, LATEST, conditions_of
from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.statistics.counting import DURATIONS, Counter, Histogram, SiteStatistics, StatisticsWanted, merge_histograms
from ccgateway.jobs.statistics.figures import ADDED, Figure, Group, GroupBy, merge_groups
from ccgateway.jobs.statistics.histograms import SiteBins, spread
from ccgateway.site.base import JobsWanted
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.documents import started_within
from ccgateway.site.queries.filters import RUNNING, Filter, plan_for
from ccgateway.site.queries.scanning import Scan, beyond_budget
from ccgateway.site.queries.statistics_reply import ELEMENTS, Element, StatisticsReply
from ccgateway.site.releases import Dialect, Window
from ccgateway.site.releases.query import QueryFailedError

if TYPE_CHECKING:
    from ccgateway.site.instance import Instance

__all__ = ["FALLS_BACK", "ExactFilter", "exact_filter", "read_statistics"]

#: what a site that answers no such question, or not as it should, comes to: then rows are counted
FALLS_BACK = frozenset(
    {Code.WRONG_RELEASE, Code.SITE_REFUSED, Code.SITE_ERROR, Code.BAD_ANSWER, Code.SITE_UNAUTHORIZED, Code.ANSWER_TOO_LARGE}
)
#: groups whose users are asked for one by one, and how many of them in one document
MOST_GROUPS, AT_ONCE = 400, 40
#: the same where they are asked for one after the other
MOST_IN_TURN = 50

_FIELDS = {GroupBy.PROJECT: "project", GroupBy.CLUSTER: "cluster", GroupBy.SUBCLUSTER: "subCluster"}
_ANSWER = {GroupBy.USER, GroupBy.PROJECT, GroupBy.CLUSTER}


async def read_statistics(site: Instance, context: CallContext, wanted: StatisticsWanted, budget: int) -> SiteStatistics:
    """What the site contributes. ``budget``: jobs that may be read. Raises ``SiteError``, ``SCAN_BUDGET`` included."""
    question = _Question(site, context, wanted, budget)
    try:
        queried = await site.in_dialect(context, question.queried)
    except SiteError as error:
        if error.code not in FALLS_BACK:
            raise
        forget_frames(error)
        reason = "its own GraphQL does not answer the question as it should"
    else:
        if isinstance(queried, SiteStatistics):
            return queried
        reason = queried
    counted = await question.counted()
    counted.notes.append(f"statistics: counted from this site's jobs one by one, as {reason}.")
    return counted


@dataclass(frozen=True, slots=True)
class ExactFilter:
    """By which a site finds precisely the jobs that are meant. ``without_running``: but for those that run, which are to be
    counted otherwise. ``never``: no job can match."""

    elements: tuple[Filter, ...]
    never: bool = False
    without_running: bool = False


def exact_filter(dialect: Dialect, context: CallContext, filters: Sequence[JobFilter], site: str) -> ExactFilter | str:
    """The filters as the site takes them, kept to what the credential may see; or why it would find other jobs."""
    conditions = conditions_of(filters, site)
    elements: list[Filter] = []
    if conditions.db_ids is not None and dialect.statistics.finds_ids:
        elements.append({"dbId": [str(one) for one in sorted(conditions.db_ids)]})
        conditions.db_ids = None
    plan = plan_for(dialect, JobsWanted(conditions, frozenset()), context.credential)
    if plan is None:
        return f"release {dialect.name} does not evaluate the filter"
    if not plan.branches:
        return ExactFilter((), never=True)
    # where there are two, of jobs that ended and of jobs that run, the latter never is exact
    branch = plan.branches[-1]
    if branch.unsure:
        words = " and ".join(name.replace("_", " ") for name in branch.unsure)
        return f"release {dialect.name} does not evaluate the filter as it is meant ({words})"
    elements += branch.filters
    if branch.states == {RUNNING}:  # alone it would be answered from the metric store, in another meaning
        elements = [element for element in elements if element != {"state": [RUNNING]}] + [{"state": [RUNNING, RUNNING]}]
    elements.append(started_within(Window(max(EARLIEST, conditions.earliest), min(LATEST, conditions.latest))))
    return ExactFilter(tuple(elements), without_running=len(plan.branches) > 1)


@dataclass(slots=True)
class _Question:
    """One question to one site."""

    site: Instance
    context: CallContext
    wanted: StatisticsWanted
    budget: int
    dialect: Dialect = field(init=False)

    # --- by the site's own GraphQL

    async def queried(self, dialect: Dialect) -> SiteStatistics | str:
        """What the site tells, or why it is not asked."""
        self.dialect = dialect
        wanted = self.wanted
        way = self.site.reads(self.context.credential)
        if not way.by_query:
            return way.reason
        filters = exact_filter(dialect, self.context, wanted.filters, self.site.name)
        if isinstance(filters, str):
            return filters
        if filters.never:
            return Counter(wanted, self.site.name).result()
        if wanted.group is GroupBy.SUBCLUSTER and not dialect.statistics.subclusters:
            return f"release {dialect.name} does not group by sub-cluster"
        if DURATIONS in wanted.histograms and not dialect.statistics.fixed_bins and wanted.durations.size % 3600:
            return f"release {dialect.name} tells durations in whole hours only"
        statistics = await self._query(filters)
        if statistics is None:
            return "some groups have too many users to ask for"
        if filters.without_running:
            running = replace(wanted, filters=(*wanted.filters, JobFilter(state=(RUNNING,))))
            statistics = _both(statistics, await self._scanned(running))
        return await self._made_exact(statistics) if wanted.is_exact else statistics

    async def _made_exact(self, statistics: SiteStatistics) -> SiteStatistics:
        """Counted from rows, where that may be; else without what is not told exactly."""
        inexact = [figure for figure in self.wanted.figures if any(not _is_exact(group, figure) for group in statistics.groups)]
        if not inexact:
            return statistics
        jobs = sum(group.amounts[Figure.JOBS.value].value for group in statistics.groups)
        try:
            if jobs > self.budget:
                raise beyond_budget(self.site.name, self.budget)
            return await self._scanned(self.wanted)
        except SiteError as error:
            if error.code is not Code.SCAN_BUDGET and error.code not in FALLS_BACK:
                raise
            for group in statistics.groups:
                group.refuse([figure for figure in inexact if not _is_exact(group, figure)], f"{self.site.name}: {error.message}")
            return statistics

    async def _query(self, filters: ExactFilter) -> SiteStatistics | None:
        wanted, elements = self.wanted, list(filters.elements)
        document, variables = self._document(elements)
        answer = await self._elements(document, variables)
        reply = StatisticsReply(answer, self.site.name)
        result = reply.statistics(wanted, fixed_bins=self.dialect.statistics.fixed_bins)
        if Figure.USERS in wanted.figures:
            if wanted.group in (None, GroupBy.SITE):
                for group in result.groups:
                    group.users = {str(one.id) for one in reply.all("u")}
            elif wanted.group is GroupBy.USER:
                for group in result.groups:
                    group.users = {group.id}
            elif not await self._ask_users(result.groups, elements):
                return None
        if wanted.bins:
            jobs = sum(group.amounts[Figure.JOBS.value].value for group in result.groups)
            await self._add_metrics(result, filters, has_jobs=jobs > 0)
        return result

    def _document(self, elements: list[Filter]) -> tuple[str, dict[str, object]]:
        wanted = self.wanted
        figures = (wanted.figures | {Figure.JOBS}) - {Figure.USERS}
        if Figure.SHORT in figures:
            figures |= {Figure.RUNNING}
        parts = []
        if wanted.group in _ANSWER or wanted.group is GroupBy.SUBCLUSTER:
            parts.append(f"t:jobsStatistics(filter:$f,groupBy:{wanted.group}){{id name {_selected(figures)}}}")
        else:
            points = " ".join(f"{name}{{value count}}" for name in sorted(wanted.histograms))
            fixed = DURATIONS in wanted.histograms and self.dialect.statistics.fixed_bins
            bins = f',numDurationBins:"{wanted.durations.word}"' if fixed else ""
            parts.append(f"t:jobsStatistics(filter:$f{bins}){{{_selected(figures - ADDED)} {points}}}")
            if figures & ADDED:
                parts.append(f"c:jobsStatistics(filter:$f,groupBy:CLUSTER){{id {_selected({Figure.JOBS, *(figures & ADDED)})}}}")
            if Figure.USERS in wanted.figures:
                parts.append("u:jobsStatistics(filter:$f,groupBy:USER){id totalJobs}")
        return f"query($f:[JobFilter!]){{{' '.join(parts)}}}", {"f": elements}

    async def _ask_users(self, groups: Sequence[Group], elements: list[Filter]) -> bool:
        """The users of every group; whether they are few enough."""
        key = _FIELDS[self.wanted.group or GroupBy.PROJECT]
        takes_turns = self.dialect.statistics.takes_turns
        most, at_once = (MOST_IN_TURN, 1) if takes_turns else (MOST_GROUPS, AT_ONCE)
        if len(groups) > most:
            return False
        for start in range(0, len(groups), at_once):
            some = groups[start : start + at_once]
            filters = {f"f{n}": [*elements, {key: {"eq": group.id}}] for n, group in enumerate(some)}
            declared = ",".join(f"${name}:[JobFilter!]" for name in filters)
            parts = " ".join(f"u{n}:jobsStatistics(filter:$f{n},groupBy:USER){{id totalJobs}}" for n in range(len(some)))
            answer = await self._elements(f"query({declared}){{{parts}}}", filters)
            reply = StatisticsReply(answer, self.site.name)
            for n, group in enumerate(some):
                group.users = {str(one.id) for one in reply.all(f"u{n}")}
        return True

    async def _elements(self, document: str, variables: Mapping[str, object]) -> dict[str, list[Element]]:
        if not self.dialect.statistics.takes_turns or "groupBy:USER" not in document:
            return await self.site.query(self.context, document, variables, ELEMENTS)
        async with self.site.user_groups.turn(self.context.deadline, self.site.name):
            return await self.site.query(self.context, document, variables, ELEMENTS)

    # --- metrics

    async def _add_metrics(self, result: SiteStatistics, filters: ExactFilter, *, has_jobs: bool) -> None:
        bins, elements = self.wanted.bins, list(filters.elements)
        if not has_jobs:
            result.metrics = {one.metric: Histogram() for one in bins}
            return
        columns = self.dialect.statistics.columns
        try:
            if columns:
                result.metrics = {one.metric: await self._by_column(elements, columns.get(one.key), one) for one in bins}
            else:
                result.metrics = await self._binned(elements, bins)
        except QueryFailedError as error:  # a panic, such as where a filter names its cluster otherwise than by eq
            forget_frames(error)
        else:
            return
        counting = replace(self.wanted, figures=frozenset(), histograms=frozenset(), group=None)
        if filters.without_running:
            ended = JobFilter(state=tuple(sorted(self.dialect.states - {RUNNING})))
            counting = replace(counting, filters=(*counting.filters, ended))
        try:
            counted = await self._scanned(counting)
        except SiteError as error:
            if error.code is not Code.SCAN_BUDGET and error.code not in FALLS_BACK:
                raise
            result.metrics = {one.metric: Histogram(refused=f"{self.site.name}: {error.message}") for one in bins}
            return
        result.metrics = counted.metrics
        result.scanned += counted.scanned
        result.missed += counted.missed

    async def _binned(self, elements: list[Filter], bins: Sequence[SiteBins]) -> dict[str, Histogram]:
        parts = [
            f"m{n}:jobsStatistics(filter:$f,metrics:$n{n},numMetricBins:{one.bins})"
            "{totalJobs histMetrics{metric unit stat data{bin count max}}}"
            for n, one in enumerate(bins)
        ]
        declared = ",".join(f"$n{n}:[String!]" for n in range(len(bins)))
        variables: dict[str, object] = {f"n{n}": [one.metric] for n, one in enumerate(bins)}
        answer = await self._elements(f"query($f:[JobFilter!],{declared}){{{' '.join(parts)}}}", variables | {"f": elements})
        reply = StatisticsReply(answer, self.site.name)
        return {one.metric: self._histogram(reply.one(f"m{n}"), one) for n, one in enumerate(bins)}

    def _histogram(self, element: Element, bins: SiteBins) -> Histogram:
        points = next((one for one in element.hist_metrics or () if one.metric == bins.metric), None)
        name = self.site.name
        if points is None or points.data is None:
            return Histogram(refused=f"{name} gives no histogram of {bins.metric} for these jobs.")
        edges = {int(bins.peak) // bins.bins * bins.bins}
        found = {one.bin: one.count for one in points.data}
        is_same = points.unit == bins.unit and (points.stat in (bins.stat, None)) and found.keys() == set(range(1, bins.bins + 1))
        if not is_same or {one.max for one in points.data if one.bin == bins.bins} != edges:
            return Histogram(refused=f"{name} divides {bins.metric} otherwise than its clusters say.")
        return Histogram(spread(found, bins))

    async def _by_column(self, elements: list[Filter], column: str | None, bins: SiteBins) -> Histogram:
        """One count for each bin of the answer, of jobs with a value above 0, as 0 stands for none too."""
        if column is None:
            return Histogram(refused=f"{self.site.name}: release {self.dialect.name} keeps nothing of {bins.metric} to count by.")
        count = -(-bins.bins // bins.per_bin)
        edges = [bins.peak * n * bins.per_bin / bins.bins for n in range(count)] + [bins.peak]
        ranges = [
            {"from": low or 5e-324, "to": math.nextafter(high, 0) if n + 1 < count else high}
            for n, (low, high) in enumerate(pairwise(edges))
        ]
        counts: dict[int, int] = {}
        for start in range(0, count, AT_ONCE):
            some = ranges[start : start + AT_ONCE]
            filters = {f"f{n}": [*elements, {column: one}] for n, one in enumerate(some)}
            declared = ",".join(f"${name}:[JobFilter!]" for name in filters)
            parts = " ".join(f"b{n}:jobsStatistics(filter:$f{n}){{totalJobs}}" for n in range(len(some)))
            reply = StatisticsReply(await self._elements(f"query({declared}){{{parts}}}", filters), self.site.name)
            counts |= {start + n + 1: reply.value(reply.one(f"b{n}"), Figure.JOBS) for n in range(len(some))}
        return Histogram({place: jobs for place, jobs in counts.items() if jobs})

    # --- counted from rows

    async def counted(self) -> SiteStatistics:
        """What reading every job comes to."""
        return await self._scanned(self.wanted)

    async def _scanned(self, wanted: StatisticsWanted) -> SiteStatistics:
        site = self.site
        conditions = conditions_of(wanted.filters, site.name)
        keeps = not await self._lacks_footprints()
        counting = wanted if keeps else replace(wanted, bins=())
        counter = Counter(counting, site.name)
        scan = Scan(site, self.context, conditions, counting.attributes, self.budget)
        async for rows in scan.pages():
            counter.add(rows)
        result = counter.result()
        result.scanned, result.missed = scan.scanned, scan.missed
        for one in wanted.bins if not keeps else ():
            result.metrics[one.metric] = Histogram(refused=f"{site.name} does not show footprints in lists of jobs.")
        return result

    async def _lacks_footprints(self) -> bool:
        dialect = await self.site.dialect(self.context)
        return bool(dialect.statistics.columns)


def _selected(figures: frozenset[Figure] | set[Figure]) -> str:
    return " ".join(sorted(figure.value for figure in figures))


def _is_exact(group: Group, figure: Figure) -> bool:
    amount = group.amounts.get(figure.value)
    return amount is None or amount.is_exact


def _both(one: SiteStatistics, other: SiteStatistics) -> SiteStatistics:
    """Two parts of one site's jobs together."""
    return SiteStatistics(
        list(merge_groups([*one.groups, *other.groups]).values()),
        {name: merge_histograms([one.histograms[name], other.histograms[name]]) for name in one.histograms},
        {name: merge_histograms([one.metrics[name], other.metrics[name]]) for name in one.metrics},
        one.scanned + other.scanned,
        one.missed + other.missed,
        one.notes + other.notes,
    )
