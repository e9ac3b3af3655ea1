"""The metrics of many jobs, and the accounts of many people, in few questions: those that fields of one request ask for in the
same moment go to the gateway together.

What was asked for once is not asked for again in the same request. A list that is written by a projection asks for all its jobs
at once (``many``); where fields are executed one by one, each asks for its own job (``one``), and they are gathered.

Strawberry's ``DataLoader`` is not used: who is cancelled while waiting for a value cancels it for all who wait for it, and nobody
but the loader has the task that asks, so that it outlives its request. It takes 1.2 ms for 500 jobs at once (``many``: 0.7) and
the same for 500 one by one (``one``: 4.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from ccgateway.errors import GatewayError
from ccgateway.jobs.metrics import JobRef, MetricPiece, MetricsWanted

__all__ = ["BatchLoader", "MetricsLoader", "Outcome"]

Outcome: TypeAlias = list[MetricPiece] | GatewayError
_Question: TypeAlias = tuple[JobRef, MetricsWanted]


@dataclass(slots=True)
class MetricsLoader:
    """``ask`` gives one outcome for each job, in their order."""

    ask: Callable[[Sequence[JobRef], MetricsWanted], Awaitable[list[Outcome]]]
    _asked: dict[_Question, tuple[asyncio.Task[list[Outcome]], int]] = field(default_factory=dict)
    _waiting: dict[MetricsWanted, dict[JobRef, None]] = field(default_factory=dict)

    async def many(self, jobs: Sequence[JobRef], wanted: MetricsWanted) -> list[Outcome]:
        """The outcome of every job."""
        self._begin(jobs, wanted)
        return [await self._outcome(job, wanted) for job in jobs]

    async def one(self, job: JobRef, wanted: MetricsWanted) -> Outcome:
        """The outcome of one job, asked for together with all that ask for the same metrics now."""
        if (job, wanted) not in self._asked:
            self._waiting.setdefault(wanted, {})[job] = None
            await asyncio.sleep(0)  # the other jobs of the list ask in this turn of the loop
            self._begin(self._waiting.pop(wanted, ()), wanted)
        return await self._outcome(job, wanted)

    def _begin(self, jobs: Iterable[JobRef], wanted: MetricsWanted) -> None:
        new = [job for job in dict.fromkeys(jobs) if (job, wanted) not in self._asked]
        if new:
            task = asyncio.create_task(self._answer(new, wanted))
            self._asked.update(((job, wanted), (task, place)) for place, job in enumerate(new))

    async def _answer(self, jobs: Sequence[JobRef], wanted: MetricsWanted) -> list[Outcome]:
        return await self.ask(jobs, wanted)

    async def _outcome(self, job: JobRef, wanted: MetricsWanted) -> Outcome:
        task, place = self._asked[job, wanted]
        if not task.done():
            await asyncio.shield(task)  # others wait for it, too
        return task.result()[place]

    def forget(self) -> None:
        """Lets go of every outcome."""
        self._asked.clear()

    @property
    def tasks(self) -> set[asyncio.Task[list[Outcome]]]:
        """Everything that was begun."""
        return {task for task, _ in self._asked.values()}


K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(slots=True)
class BatchLoader(Generic[K, T]):
    """What belongs to each of many keys: those asked for in one moment are asked for together. ``ask`` gives what each of them
    came to; raises what it came to for all."""

    ask: Callable[[Sequence[K]], Awaitable[Mapping[K, T | GatewayError]]]
    _asked: dict[K, asyncio.Task[Mapping[K, T | GatewayError]]] = field(default_factory=dict)
    _waiting: dict[K, None] = field(default_factory=dict)

    async def one(self, key: K) -> T:
        """What belongs to that key. Raises what that came to."""
        if key not in self._asked:
            self._waiting[key] = None
            await asyncio.sleep(0)  # the other jobs of the list ask in this turn of the loop
            self._begin()
        found = (await asyncio.shield(self._asked[key]))[key]
        if isinstance(found, GatewayError):
            raise found.again()
        return found

    async def many(self, keys: Sequence[K]) -> list[T | GatewayError]:
        """What belongs to each of these keys, in their order."""
        self._waiting.update((key, None) for key in keys if key not in self._asked)
        self._begin()
        return [(await asyncio.shield(self._asked[key]))[key] for key in keys]

    def _begin(self) -> None:
        if self._waiting:
            keys, self._waiting = list(self._waiting), {}
            self._asked.update(dict.fromkeys(keys, asyncio.create_task(self._answer(keys))))

    async def _answer(self, keys: Sequence[K]) -> Mapping[K, T | GatewayError]:
        return await self.ask(keys)

    def forget(self) -> None:
        """Lets go of everything."""
        self._asked.clear()

    @property
    def tasks(self) -> set[asyncio.Task[Mapping[K, T | GatewayError]]]:
        """Everything that was begun."""
        return set(self._asked.values())
