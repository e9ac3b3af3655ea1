"""A worker that does what a test wrote down for it, in place of ``ccgateway.operations.worker_process.work``.

The folder ``STUBS`` has ``plan``, a line for each start in their order (the last one for all later ones): ``serves``, ``unfit``
(cannot start), ``hangs`` (reads nothing, says nothing), ``mute`` (serves, and answers nothing about settings). ``log`` is what
they were told, a line each: the number of the start, and the word or the number of sites.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

from ccgateway.operations.line import Alive, Begin, Commit, Committed, FromSupervisor, FromWorker, Line, Prepare, Prepared, Unfit
from ccgateway.operations.stopping import Stage
from ccgateway.operations.telling import Meeting

__all__ = ["stub"]


def stub(end: socket.socket, listeners: list[socket.socket], _meeting: Meeting | None) -> None:
    """Its life."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    folder = Path(os.environ["STUBS"])
    with (folder / "starts").open("a") as starts:
        starts.write("x")
    number = len((folder / "starts").read_text()) - 1
    plan = (folder / "plan").read_text().split()
    role = plan[min(number, len(plan) - 1)]
    _note(folder, number, role)
    if role == "hangs":
        signal.pause()
    asyncio.run(_live(end, listeners, folder, number, role))


async def _live(end: socket.socket, listeners: list[socket.socket], folder: Path, number: int, role: str) -> None:
    line: Line[FromWorker, FromSupervisor] = await Line.over(end)
    begun = await line.hear()
    assert isinstance(begun, Begin)
    _note(folder, number, f"begins with {len(begun.settings.sites)}")
    if role == "unfit":
        line.say(Unfit("not today"))
        await line.close()
        return
    for listener in listeners:
        listener.listen()
    line.say(Alive())
    while (message := await line.hear()) is not None:
        match message:
            case Alive():
                line.say(message)
            case Stage():
                _note(folder, number, message.name)
                if message >= Stage.ENDING:
                    break
            case Prepare(asked, settings) if role != "mute":
                _note(folder, number, f"prepares {len(settings.sites)}")
                line.say(Prepared(asked, None))
            case Commit(asked) if role != "mute":
                _note(folder, number, "commits")
                line.say(Committed(asked))
    await line.close()


def _note(folder: Path, number: int, words: str) -> None:
    with (folder / "log").open("a") as log:
        log.write(f"{number} {words}\n")
