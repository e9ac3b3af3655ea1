"""Real processes that share a real Redis: each thing is fetched once, whoever wants it and whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

import ccgateway
from cache.servers import Valkey
from cache.worker import Outcome, Task
from ccgateway.cache.entries import Source

TESTS = Path(__file__).parent.parent


class Worker:
    """A process with a task, waiting for ``go``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._process = process

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def outcome(self) -> Outcome:
        return msgspec.json.decode(self.hear(), type=Outcome)


@contextmanager
def workers(*tasks: Task) -> Iterator[list[Worker]]:
    """Processes ready to start; killed in the end if they still run."""
    environment = os.environ | {"PYTHONPATH": f"{Path(ccgateway.__file__).parent.parent}:{TESTS}"}
    with ExitStack() as stack:
        found = []
        for task in tasks:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "cache.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    env=environment,
                )
            )  # fmt: skip
            stack.callback(process.kill)
            worker = Worker(process)
            worker.say(msgspec.json.encode(task).decode())
            found.append(worker)
        for worker in found:
            assert worker.hear() == "ready\n"
        yield found


def called(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def until_called(path: Path, times: int = 1) -> list[list[str]]:
    limit = time.monotonic() + 10
    while len(lines := called(path)) < times:
        assert time.monotonic() < limit
        time.sleep(0.005)
    return lines


def started(found: Sequence[Worker]) -> None:
    for worker in found:
        worker.say("go")


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


def task(valkey: Valkey, calls: Path, *, lock_timeout: float = 5.0, redis_timeout: float = 5.0, **more: object) -> Task:
    settings = {
        "redis_url": valkey.url,
        "lock_timeout": lock_timeout,
        "redis_timeout": redis_timeout,
        "redis_connect_timeout": redis_timeout,
    }
    return msgspec.convert({"settings": settings, "calls": str(calls), **more}, Task)


def test_five_hundred_askers_over_four_processes_are_one_call_for_each_metric(valkey: Valkey, calls: Path) -> None:
    metrics = ["flops", "mem", "net"]
    with workers(*[task(valkey, calls, metrics=metrics, callers=125, takes=0.3)] * 4) as found:
        started(found)
        outcomes = [worker.outcome() for worker in found]
    assert Counter(metric for _, metric in called(calls)) == dict.fromkeys(metrics, 1)
    assert [outcome.errors for outcome in outcomes] == [[]] * 4
    assert sum(sum(outcome.answers.values()) for outcome in outcomes) == 500 * 3
    assert max(outcome.slowest for outcome in outcomes) < 5.0, "nobody waits for a lock to time out"


def test_the_first_asker_leaving_is_not_noticed_by_the_others(valkey: Valkey, calls: Path) -> None:
    with workers(*[task(valkey, calls, callers=20, takes=2.0, leave_after=0.5)] * 3) as found:
        started(found)
        outcomes = [worker.outcome() for worker in found]
    assert len(called(calls)) == 1
    assert [outcome.errors for outcome in outcomes] == [[]] * 3
    assert [sum(outcome.answers.values()) for outcome in outcomes] == [19] * 3


def test_what_others_wait_for_is_fetched_to_its_end_though_nobody_here_wants_it_any_more(valkey: Valkey, calls: Path) -> None:
    alone = task(valkey, calls, takes=4.0, leave_after=2.0, stays=4.0)
    with workers(alone, *[task(valkey, calls, callers=5)] * 2) as found:
        started(found[:1])
        until_called(calls)
        started(found[1:])
        outcomes = [worker.outcome() for worker in found]
    assert len(called(calls)) == 1
    assert [outcome.errors for outcome in outcomes] == [[]] * 3
    assert [outcome.answers for outcome in outcomes] == [{}, {Source.REDIS: 5}, {Source.REDIS: 5}]


def test_what_others_have_waited_for_is_ended_when_they_have_left_as_well(valkey: Valkey, calls: Path) -> None:
    first, second = (task(valkey, calls, takes=30.0, leave_after=after, stays=stays) for after, stays in ((1.5, 4.0), (2.0, 0.0)))
    with workers(first, second) as found:
        started(found[:1])
        until_called(calls)
        started(found[1:])
        outcomes = [worker.outcome() for worker in found]
    assert len(called(calls)) == 1
    assert [outcome.ended for outcome in outcomes] == [1, 0]
    assert valkey.ask("KEYS", "*:l:*") == []


def test_a_killed_process_costs_the_others_one_lock_time_out(valkey: Valkey, calls: Path) -> None:
    with workers(*[task(valkey, calls, callers=10, takes=0.5, lock_timeout=4.0)] * 3) as found:
        started(found)
        ((pid, _),) = until_called(calls)
        os.kill(int(pid), signal.SIGKILL)
        outcomes = [worker.outcome() for worker in found if worker.pid != int(pid)]
    assert len(called(calls)) == 2
    assert [outcome.errors for outcome in outcomes] == [[]] * 2
    assert max(outcome.slowest for outcome in outcomes) < 2 * 4.0


def test_a_long_fetch_keeps_its_claim(valkey: Valkey, calls: Path) -> None:
    with workers(*[task(valkey, calls, callers=3, takes=5.0, lock_timeout=2.0)] * 2) as found:
        started(found)
        outcomes = [worker.outcome() for worker in found]
    assert len(called(calls)) == 1
    assert [outcome.errors for outcome in outcomes] == [[]] * 2


def test_a_process_that_slept_through_its_claim_overwrites_nothing(valkey: Valkey, calls: Path) -> None:
    with workers(*[task(valkey, calls, callers=2, takes=0.3, lock_timeout=2.0, redis_timeout=1.5)] * 2) as found:
        started(found)
        ((pid, _),) = until_called(calls)
        os.kill(int(pid), signal.SIGSTOP)
        (other,) = [worker for worker in found if worker.pid != int(pid)]
        assert other.outcome().errors == []
        (name,) = valkey.ask("KEYS", "*:e:*")
        stored = valkey.ask("GET", name)
        os.kill(int(pid), signal.SIGCONT)
        (slept,) = [worker for worker in found if worker.pid == int(pid)]
        assert slept.outcome().errors == []
    assert len(called(calls)) == 2
    assert valkey.ask("GET", name) == stored
    assert valkey.ask("KEYS", "*:l:*") == []


def test_a_failing_redis_fails_nobody_in_any_process(own_valkey: Valkey, calls: Path) -> None:
    more = {"redis_timeout": 0.5, "callers": 5, "rounds": 60, "pause": 0.05, "takes": 0.01}
    with workers(*[task(own_valkey, calls, **more)] * 2) as found:
        started(found)
        time.sleep(0.5)
        own_valkey.pause()
        time.sleep(1)
        own_valkey.go_on()
        time.sleep(0.6)
        own_valkey.stop()
        time.sleep(0.6)
        own_valkey.start()
        outcomes = [worker.outcome() for worker in found]
    assert [outcome.errors for outcome in outcomes] == [[]] * 2
    assert max(outcome.slowest for outcome in outcomes) < 5.0
    assert own_valkey.ask("KEYS", "*:e:*")
