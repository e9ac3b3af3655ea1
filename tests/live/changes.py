"""Somebody who keeps starting, stopping and deleting jobs by REST, in a thread of their own, while a test reads the list."""

from __future__ import annotations

import itertools
import random
import threading
import time
from types import TracebackType
from typing import Self

from live import upstream
from live.enrich import FIRST_JOB_ID, remove_from, start, stop, wait_for
from live.farm import Farm, Site

__all__ = ["Changes"]

#: jobs of each site that are there before the reading begins: some are stopped and some deleted, all others stay
PREPARED = 24

#: numbers of the jobs, never the same twice
_numbers = itertools.count(FIRST_JOB_ID + 10_000)


class Changes:
    """Within the context, changes keep coming at every site: jobs start (now, and long ago), prepared jobs end or vanish.

    ``undo`` removes all of them afterwards.
    """

    def __init__(self, farm: Farm, seed: int = 1) -> None:
        self.started = 0
        self.stopped = 0
        self.deleted = 0
        self._random = random.Random(seed)
        self._sites = farm.sites
        self._first = next(_numbers)
        self._prepared: dict[str, list[tuple[int, int, int]]] = {}
        self._begun: list[tuple[Site, int, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="changes")
        self._failure: BaseException | None = None
        for site in self._sites:
            self._prepared[site.name] = self._prepare(site)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def undo(self) -> None:
        """Removes every job that was added, also those that a 1.5 has not committed yet: stopping a job commits it."""
        for site, number, start_time in self._begun:
            if site.is_newest:
                stop(site, number, start_time)
        for site in self._sites:
            remove_from(site, self._first)

    def _prepare(self, site: Site) -> list[tuple[int, int, int]]:
        starts = {}
        listed = [row["startTime"] for row in upstream.listed(site)]
        for _ in range(PREPARED):
            number = next(_numbers)
            starts[number] = self._random.choice(listed)
            start(site, number, starts[number], walltime=0)
        found = wait_for(site, list(starts))
        return [(job_id, start_time, found[job_id]) for job_id, start_time in starts.items()]

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                for site in self._sites:
                    self._change(site)
                time.sleep(0.005)
        except BaseException as failure:  # noqa: BLE001 - raised again in the test's own thread
            self._failure = failure

    def _change(self, site: Site) -> None:
        prepared = self._prepared[site.name]
        choice = self._random.randrange(4)
        if choice == 0:
            self._begin(site, int(time.time()) - self._random.randrange(3))
        elif choice == 1:
            self._begin(site, self._random.choice(prepared)[1] if prepared else int(time.time()))
        elif prepared:
            job_id, start_time, db_id = prepared.pop(self._random.randrange(len(prepared)))
            if choice == 2:
                stop(site, job_id, start_time, state="cancelled")
                self.stopped += 1
            else:
                status, said = upstream.call(site, "DELETE", f"/api/jobs/delete_job/{db_id}")
                assert status == 200, said
                self.deleted += 1

    def _begin(self, site: Site, start_time: int) -> None:
        number = next(_numbers)
        start(site, number, start_time, walltime=0)
        self._begun.append((site, number, start_time))
        self.started += 1
