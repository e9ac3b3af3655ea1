"""Questions that come together go together, and none is forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from ccgateway.cache.coalescer import BatchCoalescer


async def test_what_comes_in_one_turn_is_one_question() -> None:
    asked: list[Sequence[int]] = []

    async def ask(items: Sequence[int]) -> dict[int, int]:
        asked.append(items)
        await asyncio.sleep(0.01)
        return {item: item * 2 for item in items}

    together: BatchCoalescer[int, dict[int, int]] = BatchCoalescer(ask, at_once=2)
    answers = await asyncio.gather(*(together.want([number % 3]) for number in range(100)))
    assert asked == [[0, 1, 2]]
    assert all(answers[number][number % 3] == number % 3 * 2 for number in range(100))


async def test_nobody_is_forgotten_whenever_they_come() -> None:
    chance = random.Random(7)

    async def ask(items: Sequence[int]) -> set[int]:
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        return set(items)

    async def want(number: int) -> None:
        for _ in range(50):
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            assert number in await together.want([number])

    together: BatchCoalescer[int, set[int]] = BatchCoalescer(ask, at_once=2)
    async with asyncio.timeout(20):
        await asyncio.gather(*(want(number) for number in range(20)))


async def test_who_leaves_takes_nobody_along_and_failures_reach_all() -> None:
    async def ask(items: Sequence[int]) -> None:
        await asyncio.sleep(0.02)
        raise LookupError(items[0])

    together: BatchCoalescer[int, None] = BatchCoalescer(ask, at_once=1)
    asking = [asyncio.create_task(together.want([1])) for _ in range(3)]
    await asyncio.sleep(0.01)
    asking[0].cancel()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in outcomes] == [asyncio.CancelledError, LookupError, LookupError]


async def test_closing_is_an_error_to_those_who_wait() -> None:
    async def ask(items: Sequence[int]) -> None:
        await asyncio.sleep(30)

    together: BatchCoalescer[int, None] = BatchCoalescer(ask, at_once=1)
    asking = asyncio.create_task(together.want([1]))
    await asyncio.sleep(0.01)
    await together.aclose()
    with pytest.raises(RuntimeError):
        await asking
