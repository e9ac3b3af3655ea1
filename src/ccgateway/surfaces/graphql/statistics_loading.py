"""Statistics that fields of one request ask for in the same moment go to the gateway together, so that those over the same jobs
are one question to the sites."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ccgateway.errors import GatewayError
from ccgateway.federation.statistics import StatisticsAnswer, StatisticsQuestion

__all__ = ["StatisticsLoader"]

_Outcome: TypeAlias = StatisticsAnswer | GatewayError


@dataclass(slots=True)
class _Turn:
    """What was asked for in one turn of the loop, and the task that asks for it."""

    questions: list[StatisticsQuestion] = field(default_factory=list)
    task: asyncio.Task[list[_Outcome]] | None = None


@dataclass(slots=True)
class StatisticsLoader:
    """``ask`` gives one outcome for each question, in their order. ``tasks``: everything that was begun."""

    ask: Callable[[Sequence[StatisticsQuestion]], Awaitable[list[_Outcome]]]
    tasks: list[asyncio.Task[list[_Outcome]]] = field(default_factory=list)
    _turn: _Turn | None = None

    async def one(self, question: StatisticsQuestion) -> _Outcome:
        """The outcome of one question."""
        turn = self._turn = self._turn or _Turn()
        place = len(turn.questions)
        turn.questions.append(question)
        await asyncio.sleep(0)  # the other fields of the request ask in this turn of the loop
        if turn.task is None:
            self._turn = None
            turn.task = asyncio.create_task(self._answer(turn.questions), name="statistics")
            self.tasks.append(turn.task)
        return (await asyncio.shield(turn.task))[place]

    async def _answer(self, asked: Sequence[StatisticsQuestion]) -> list[_Outcome]:
        return await self.ask(asked)
