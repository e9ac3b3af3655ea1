"""The supervisor when workers misbehave: it goes on, with the others, with new settings, and to its end."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from ccgateway.operations import supervisor
from ccgateway.operations.listening import listeners_for
from ccgateway.operations.notifying import Notifier
from ccgateway.operations.supervisor import Supervisor
from ccgateway.settings import Settings
from operations.stub_worker import stub


def settings_with(sites: int, **server: object) -> Settings:
    known = {f"site{n}": {"number": n, "url": f"http://127.0.0.1:1/{n}", "token": "x" * 200} for n in range(1, sites + 1)}
    return Settings.model_validate({"sites": known, "server": {"port": 0, "drain": 0, "workers": 2} | server})


class Stubs:
    """The folder that tells stubs what to do, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self, *roles: str) -> None:
        (self.folder / "plan").write_text("\n".join(roles))

    @property
    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def process(self, number: int) -> int:
        """The process of the worker that was started as that one, of those that live."""
        return sorted(one.pid or 0 for one in multiprocessing.active_children())[number]


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubs]:
    monkeypatch.setenv("STUBS", str(tmp_path))
    monkeypatch.setattr(supervisor, "work", stub)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(supervisor, "configure_logging", lambda *_: None)  # it would take the tests' own handler away
    yield Stubs(tmp_path)
    for left in multiprocessing.active_children():
        left.kill()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - other processes make it true
            await asyncio.sleep(0.02)


class Supervised:
    def __init__(self, settings: Settings) -> None:
        self.listeners = [[one] for one in listeners_for(settings, 2)]
        self.announced = asyncio.Event()
        self.supervisor = Supervisor(settings, self.listeners, None, when_listening=self.announced.set)
        self.served: asyncio.Task[bool] | None = None

    def listening(self) -> list[bool]:
        ends = [one for place in self.listeners for one in place]
        return [one.fileno() >= 0 and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1 for one in ends]


@asynccontextmanager
async def supervised(settings: Settings) -> AsyncIterator[Supervised]:
    """Workers that serve; in the end they are told to end, and have to."""
    running = Supervised(settings)
    async with asyncio.timeout(120):
        running.served = asyncio.create_task(running.supervisor.serve())
        await running.announced.wait()
        yield running
        running.supervisor.next_stage(signal.SIGINT)
        assert await running.served


async def test_one_that_does_not_answer_keeps_nobody_from_new_settings(stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PREPARED_IN", 0.5)
    stubs.plan("serves", "mute", "serves")
    async with supervised(settings_with(1)) as running:
        await running.supervisor.take(settings_with(3))
        await until(lambda: "2 begins with 3" in stubs.log)
        assert {"0 prepares 3", "0 commits"} <= set(stubs.log) or {"1 prepares 3", "1 commits"} <= set(stubs.log)


async def test_one_that_comes_up_meanwhile_is_asked_as_well(stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PREPARED_IN", 3.0)
    stubs.plan("serves", "mute", "serves")
    async with supervised(settings_with(1)) as running:
        taking = asyncio.create_task(running.supervisor.take(settings_with(3)))
        mute = next(int(line.split()[0]) for line in stubs.log if line.endswith("mute"))
        await until(lambda: any("prepares 3" in line for line in stubs.log))
        assert mute in (0, 1)
        for child in multiprocessing.active_children():
            child.kill()  # both begin anew, while the question is out
        await taking
        await until(lambda: len([line for line in stubs.log if line.endswith(("begins with 3", "commits"))]) >= 2)


async def test_where_no_process_can_be_had_the_others_go_on(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stubs.plan("serves")
    async with supervised(settings_with(1)) as running:

        def refuse() -> None:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        with monkeypatch.context() as patched:
            patched.setattr(resource_tracker, "ensure_running", refuse)
            os.kill(stubs.process(0), signal.SIGKILL)
            await until(lambda: "no process could be started (Resource temporarily unavailable)" in caplog.text)
            assert sorted(running.listening()) == [False, True]
        await until(lambda: "serves where none could start" in caplog.text)
        await until(lambda: all(running.listening()))


async def test_where_none_can_be_had_at_first_that_is_said_and_all_end(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stubs.plan("serves")
    calls: list[int] = []

    def refuse_one() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(resource_tracker, "ensure_running", refuse_one)
    async with asyncio.timeout(60):
        assert not await Supervised(settings_with(1)).supervisor.serve()
    assert "a worker could not start: no process could be started" in caplog.text


@pytest.mark.parametrize("sites", [1, 900])
async def test_one_that_reads_nothing_holds_nobody_up_however_much_there_is_to_say(
    sites: int, stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PAUSE", 0.05)
    stubs.plan("serves", "serves", "hangs", "serves")
    async with supervised(settings_with(sites)) as running:
        os.kill(stubs.process(0), signal.SIGKILL)
        await until(lambda: any(line.endswith("hangs") for line in stubs.log))
        await running.supervisor.take(settings_with(sites + 1))
        await until(lambda: f"3 begins with {sites + 1}" in stubs.log)


async def test_connections_do_not_wait_for_one_that_hangs_while_it_starts(stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PAUSE", 0.05)
    stubs.plan("serves", "serves", "hangs", "serves")
    async with supervised(settings_with(1)) as running:
        os.kill(stubs.process(0), signal.SIGKILL)
        await until(lambda: not all(running.listening()))
        await until(lambda: all(running.listening()))
        assert any(line.startswith("3 begins") for line in stubs.log)


async def test_a_first_one_that_hangs_ends_all_and_is_said(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "PAUSE", 0.05)
    stubs.plan("serves", "hangs")
    async with asyncio.timeout(60):
        assert not await Supervised(settings_with(1)).supervisor.serve()
    assert "gives no sign of life" in caplog.text and "a worker could not start: exit status -9" in caplog.text


async def test_while_it_drains_a_place_whose_worker_ends_listens_no_more(stubs: Stubs) -> None:
    stubs.plan("serves")
    async with supervised(settings_with(1, drain=30)) as running:
        running.supervisor.next_stage(signal.SIGTERM)
        os.kill(stubs.process(0), signal.SIGKILL)
        await until(lambda: sorted(running.listening()) == [False, True])


async def test_an_end_before_the_start_is_one(stubs: Stubs) -> None:
    stubs.plan("serves")
    running = Supervised(settings_with(1))
    running.supervisor.next_stage(signal.SIGINT)
    assert await running.supervisor.serve()
    assert (stubs.log, running.announced.is_set()) == ([], False)


async def test_one_that_ends_as_soon_as_it_serves_is_not_started_without_pause(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 3600.0)
    monkeypatch.setattr(supervisor, "SETTLED", 3600.0)
    stubs.plan("serves")
    async with supervised(settings_with(1)) as running:
        os.kill(stubs.process(0), signal.SIGKILL)
        await until(lambda: "2 begins with 1" in stubs.log and len(multiprocessing.active_children()) == 2)
        os.kill(stubs.process(1), signal.SIGKILL)
        await until(lambda: "no worker could take the place" in caplog.text)
        assert sorted(running.listening()) == [False, True]


async def test_those_that_are_killed_while_they_serve_are_replaced_at_once_however_often(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 3600.0)
    monkeypatch.setattr(supervisor, "SETTLED", 0.0)
    stubs.plan("serves")
    async with supervised(settings_with(1)) as running:
        for number in range(2, 8):
            os.kill(stubs.process(0), signal.SIGKILL)
            await until(lambda number=number: f"{number} begins with 1" in stubs.log)  # type: ignore[misc]
            await until(lambda: len(multiprocessing.active_children()) == 2)
            assert all(running.listening())


async def test_a_reload_that_mends_nothing_is_told_why(stubs: Stubs, caplog: pytest.LogCaptureFixture) -> None:
    stubs.plan("serves", "serves", "unfit")
    async with supervised(settings_with(1)) as running:
        os.kill(stubs.process(0), signal.SIGKILL)
        for times in (1, 2):
            await until(lambda times=times: caplog.text.count("so that the others serve: not today") == times)  # type: ignore[misc]
            await running.supervisor.take(settings_with(2))
        await until(lambda: caplog.text.count("so that the others serve: not today") == 3)


def test_with_several_workers_as_with_one_ipv6_is_not_ipv4() -> None:
    settings = settings_with(1, host="::", serve_unauthenticated=True)
    listeners = listeners_for(settings, 2)
    port = listeners[0].getsockname()[1]
    try:
        with socket.create_connection(("::1", port), timeout=5):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    finally:
        for one in listeners:
            one.close()


def test_a_manager_hears_of_a_reload_only_from_a_gateway_that_serves(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0.2)
        told = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        told.reloading()
        told.reloaded()
        told.ready()
        assert manager.recv(99) == b"READY=1"
        told.reloading()
        told.reloaded()
        assert manager.recv(99).startswith(b"RELOADING=1\n") and manager.recv(99) == b"READY=1"
        told.stopping()
        told.reloading()
        told.reloaded()
        assert manager.recv(99) == b"STOPPING=1"
        with pytest.raises(TimeoutError):
            manager.recv(99)
