"""The jobs of a site: a source that never changes, and on top of it what has changed since.

:class:`JobStore` answers list requests in cc-backend's order: start time descending, ties as the
release has them (:class:`~ccgateway.simulator.release.Tie`). A page of a plain time window costs O(page), wherever it lies; other
conditions scan. Jobs may start, stop and vanish between (not during) two calls.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import groupby, islice

from ccgateway.simulator.job import Job
from ccgateway.simulator.release import Tie
from ccgateway.simulator.source import FOREVER, JobSource, Selection

__all__ = ["JobStore"]


class JobStore:
    """A source and its overlay."""

    def __init__(self, source: JobSource) -> None:
        self.source = source
        self._changed: dict[int, Job] = {}  # by index in the source
        self._gone: list[int] = []  # indices in the source, ascending
        self._gone_set: set[int] = set()
        self._added: dict[int, Job] = {}  # by id
        self._added_keys: list[tuple[int, int]] = []  # (start, id), ascending
        self._added_named: dict[int, set[int]] = {}  # ids by scheduler id
        self._ids = source.ids_descending()
        self._top = next(self._ids, 0)  # no id of the source above it is in use

    def __len__(self) -> int:
        return len(self.source) - len(self._gone) + len(self._added)

    def __iter__(self) -> Iterator[Job]:
        """All jobs, newest first."""
        return self._descending(Selection(), FOREVER)

    def get(self, db_id: int) -> Job | None:
        if db_id in self._added:
            return self._added[db_id]
        index = self.source.index_of(db_id)
        return None if index is None or index in self._gone_set else self._at(index)

    def find(self, job_id: int, cluster: str | None = None, start: int | None = None) -> list[Job]:
        """The jobs that a key fits, by ascending id."""
        base = [self._at(i) for i in self.source.named(job_id) if i not in self._gone_set]
        added = [self._added[i] for i in self._added_named.get(job_id, ())]
        fits = [j for j in base + added if cluster in {None, j.cluster} and start in {None, j.start_time}]
        return sorted(fits, key=lambda j: j.id)

    def next_id(self) -> int:
        """One above the highest id in use: the id of a job that was deleted can come again."""
        while self._top and self.source.index_of(self._top) in self._gone_set:
            self._top = next(self._ids, 0)
        return max(self._top, max(self._added, default=0)) + 1

    def add(self, job: Job) -> None:
        self._added[job.id] = job
        self._added_named.setdefault(job.job_id, set()).add(job.id)
        insort(self._added_keys, (job.start_time, job.id))

    def put(self, job: Job) -> None:
        """Replace the job that has this id; start time, owner, cluster and size must stay."""
        if job.id in self._added:
            self._added[job.id] = job
            return
        index = self.source.index_of(job.id)
        if index is None:
            raise KeyError(job.id)
        self._changed[index] = job

    def remove(self, *ids: int) -> None:
        """Jobs vanish; an id that no job has is passed over."""
        gone = len(self._gone_set)
        for db_id in ids:
            added = self._added.pop(db_id, None)
            if added is not None:
                self._added_keys.remove((added.start_time, db_id))
                self._added_named[added.job_id].discard(db_id)
                continue
            index = self.source.index_of(db_id)
            if index is not None:
                self._gone_set.add(index)
                self._changed.pop(index, None)
        if len(self._gone_set) > gone:
            self._gone = sorted(self._gone_set)

    def select(self, wanted: Selection, skip: int, limit: int | None, tie: Tie = Tie.NEWEST) -> list[Job]:
        """*limit* jobs (None: all) after the first *skip*."""
        below = FOREVER
        if skip and self.source.takes_all(wanted):
            below, skip = self._skipped(wanted, skip)
        jobs = self._descending(wanted, below)
        if tie is not Tie.NEWEST:
            jobs = _retied(jobs, _KEYS[tie])
        return list(islice(jobs, skip, None if limit is None else skip + limit))

    def matching(self, wanted: Selection) -> Iterator[Job]:
        """Every job that *wanted* admits, newest first, in no memory of its own."""
        return self._descending(wanted, FOREVER)

    def count(self, wanted: Selection) -> int:
        """How many jobs *wanted* admits; of a window of start times alone, without a look at any."""
        if not self.source.takes_all(wanted):
            return sum(1 for _ in self.matching(wanted))
        live = self._live(*self._window(wanted.earliest, wanted.latest))
        return live + sum(wanted.admits(job) for job in self._added.values())

    def partitions(self, cluster: str) -> list[str]:
        added = {j.partition for j in self._added.values() if j.cluster == cluster}
        return sorted(self.source.partitions(cluster) | added)

    # -- the merged order

    def _descending(self, wanted: Selection, below: int) -> Iterator[Job]:
        """Jobs that *wanted* admits and that started at *below* or earlier, newest first, ties by id."""
        latest = min(wanted.latest, below)
        low, high = self._window(wanted.earliest, latest)
        base = self._base(wanted, low, high)
        first = bisect_left(self._added_keys, (wanted.earliest, -FOREVER))
        last = bisect_right(self._added_keys, (latest, FOREVER))
        if first >= last:
            return base
        added = (self._added[i] for _, i in reversed(self._added_keys[first:last]))
        admitted = (j for j in added if wanted.admits(j))
        return merge(base, admitted, key=lambda j: (-j.start_time, -j.id))

    def _base(self, wanted: Selection, low: int, high: int) -> Iterator[Job]:
        indices: Iterator[int] = (
            iter(range(high - 1, low - 1, -1)) if self.source.takes_all(wanted) else self._candidates(wanted, low, high)
        )
        if self._gone:
            indices = (i for i in indices if i not in self._gone_set)
        if not self._changed:
            return map(self.source.job, indices)
        return (job for job in map(self._at, indices) if wanted.admits(job))

    def _candidates(self, wanted: Selection, low: int, high: int) -> Iterator[int]:
        """What the source knows to match, and everything that has changed since."""
        known = self.source.matching(wanted, low, high)
        changed = sorted((i for i in self._changed if low <= i < high), reverse=True)
        if not changed:
            return known
        return (i for i, _ in groupby(merge(known, changed, reverse=True)))

    def _skipped(self, wanted: Selection, skip: int) -> tuple[int, int]:
        """The start time of the job after the first *skip*, and how many newer jobs precede that second."""
        added = [key[0] for key in self._added_keys if wanted.admits(self._added[key[1]])]
        if not len(self.source) and not added:
            return FOREVER, skip
        times = ([self.source.start(0), self.source.start(len(self.source) - 1)] if len(self.source) else []) + added
        low, high = max(min(times), wanted.earliest), min(max(times), wanted.latest)

        def newer(time: int) -> int:
            live = self._live(*self._window(time + 1, wanted.latest))
            return live + max(0, bisect_right(added, wanted.latest) - bisect_right(added, time))

        if low > high:
            return FOREVER, skip
        while low < high:  # the earliest second before which at most *skip* jobs come
            middle = (low + high) // 2
            if newer(middle) <= skip:
                high = middle
            else:
                low = middle + 1
        return low, skip - newer(low)

    def _window(self, earliest: int, latest: int) -> tuple[int, int]:
        low = 0 if earliest <= -FOREVER else self.source.position(earliest)
        high = len(self.source) if latest >= FOREVER else self.source.position(latest + 1)
        return low, max(low, high)

    def _live(self, low: int, high: int) -> int:
        """How many jobs of the source in [low, high) are still there."""
        return high - low - (bisect_left(self._gone, high) - bisect_left(self._gone, low))

    def _at(self, index: int) -> Job:
        return self._changed.get(index) or self.source.job(index)


_KEYS: dict[Tie, Callable[[Job], tuple[int | str, ...]]] = {
    Tie.OLDEST: lambda j: (j.id,),
    Tie.LONGEST: lambda j: (-j.duration, -j.id),
    Tie.STATE_NODES: lambda j: (j.state, j.num_nodes, j.id),
    Tie.STATE_SHORTEST: lambda j: (j.state, j.duration, j.id),
    Tie.ANY: lambda _: (random.getrandbits(32),),
}


def _retied(jobs: Iterator[Job], key: Callable[[Job], tuple[int | str, ...]]) -> Iterator[Job]:
    """Each group of equal start times in another order."""
    for _, tied in groupby(jobs, key=lambda j: j.start_time):
        yield from sorted(tied, key=key)
