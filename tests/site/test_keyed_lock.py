"""Turns: who comes with the same name waits, in the order of coming, and not for ever."""

from __future__ import annotations

import asyncio

import pytest

from ccgateway.deadline import Deadline
from ccgateway.site.keyed_lock import KeyedLock


async def test_those_with_one_name_go_one_after_the_other_and_others_beside_them() -> None:
    lock = KeyedLock()
    order: list[str] = []

    async def go(name: str, mark: str) -> bool:
        async with lock.take(name, Deadline.after(10)) as waited:
            order.append(f"{mark} in")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            order.append(f"{mark} out")
        return waited

    waited = await asyncio.gather(go("a", "1"), go("a", "2"), go("b", "x"), go("a", "3"))
    assert list(waited) == [False, True, False, True]
    assert [one for one in order if one[0] != "x"] == ["1 in", "1 out", "2 in", "2 out", "3 in", "3 out"]
    assert order.index("x in") < order.index("1 out")
    assert lock._locks == {}


async def test_a_turn_that_does_not_come_in_time_is_given_up() -> None:
    lock = KeyedLock()
    async with lock.take("a", Deadline.after(10)):
        with pytest.raises(TimeoutError):
            async with lock.take("a", Deadline.after(0.01)):
                pytest.fail("it was not its turn")
    async with lock.take("a", Deadline.after(10)) as waited:
        assert not waited


async def test_a_turn_that_ends_in_an_error_lets_the_next_one_go() -> None:
    lock = KeyedLock()
    with pytest.raises(ZeroDivisionError):
        async with lock.take("a", Deadline.after(10)):
            raise ZeroDivisionError
    async with lock.take("a", Deadline.after(10)):
        pass
    assert lock._locks == {}
