"""``/cc-backend/1.5`` answers every recorded exchange of cc-backend 1.5.4 that a gateway can be asked as the real instance did.

Asked in their order, over one simulated 1.5.4 site that the gateways write to as well. Status, Allow, Location, the content type
and the body are compared; ids are the gateway's. What is left out is named in ``LEFT_OUT`` with its reason; a case named
there that agrees after all fails.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import Any

import httpx
import pytest

from acceptance.recorded import ask, expected, front_of, is_of_gateway, like_a_list, serving
from ccgateway.simulator import SimulatedSite, serve
from contract.exchanges import Exchange, clusters, exchanges, jobs
from contract.test_simulator_replays_recordings import COMMIT, Answer, tokens

RECORDING = "v1.5.4"
EXCHANGES = exchanges(RECORDING)

OTHERS = "the gateway has a GraphQL of its own, and does not feed sites' metric stores"
IDENTITY = "who may ask is up to the gateway's own identities; here every caller is the holder of the site's token"
POURED = "the gateway knows another way to what its token may see, and gives it"
ONCE = "what is so already counts as done, so that a write can be repeated"
UNSEEN = "the gateway reads the job back, where the token does not see the tag that it has set"
STORE = "the simulator does not replay it either: metrics of running and just stopped jobs are made up"
HEADER = "the header is there once"
METADATA = "the gateway starts jobs with empty metadata rather than none, as editing none crashes sites"
WORDS = "the gateway says it in words of its own"

LEFT_OUT: dict[str | int, str] = {  # by title, or by number where only one of that title differs
    "alice's metrics as robot under /api": POURED,
    "alice's metrics as robot under /userapi": POURED,
    "clusters, unknown": HEADER,
    "tag two, second fails": ONCE,
    "tag by robot, admin": UNSEEN,
    "untag unknown tag": ONCE,
    "start twice": ONCE,
    "start, smt 2": WORDS,
    231: METADATA,
    "running job with all metrics": STORE,
    "stopped job's metrics": STORE,
    "stopped job with all metrics": STORE,
    "list of the stopped": STORE,
    "list at the end": STORE,
}
#: seconds until a stopped job is archived, and the first exchange that sees it
ARCHIVING = 0.5
ARCHIVED = next(one for one in EXCHANGES if one.case == "stopped job until archived")

#: users whose requests under /api the recorded instance turned away, and those it did not know
NOT_UNDER_API = frozenset({"sam", "mona", "alice", "bob", "stranger"})
STRANGE = frozenset({"nobody", "malformed", "forged", "expired", "hs256", "norole", "adminonly", "useronly", "nosub"})


def reason_to_skip(exchange: Exchange) -> str | None:
    """Why it is not asked of a gateway."""
    if not is_of_gateway(exchange):
        return OTHERS
    if exchange.who in STRANGE or (exchange.who in NOT_UNDER_API and exchange.path.startswith("/api/")):
        return IDENTITY
    return None


def left_out(exchange: Exchange) -> str | None:
    """Why its answer is not compared."""
    return LEFT_OUT.get(exchange.case) or LEFT_OUT.get(exchange.number)


ASKED = [one for one in EXCHANGES if reason_to_skip(one) is None]


@lru_cache
def replayed() -> dict[int, Answer]:
    """The answers by number."""
    return asyncio.run(_replay())


async def _replay() -> dict[int, Answer]:
    clock = [float(EXCHANGES[0].at)]
    site = SimulatedSite(
        RECORDING, "1.5", jobs(RECORDING), clusters(RECORDING), clock=lambda: clock[0], commit=COMMIT, archiving=ARCHIVING
    )
    site.keys.clock = lambda: clock[0]
    shown = tokens(site, EXCHANGES[0].at)
    answers: dict[int, Answer] = {}
    async with serve(site) as running, AsyncExitStack() as stack:
        url = running[RECORDING].url
        direct = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
        gateways = {
            who: await stack.enter_async_context(serving(front_of(url, shown[who] or "")))
            for who in sorted({one.who for one in ASKED})
        }
        for exchange in EXCHANGES:
            # times are whole seconds in the recording: those who waited for the archive waited within one
            clock[0] = exchange.at + (ARCHIVING if exchange.number >= ARCHIVED.number else 0)
            if exchange in ASKED:
                answers[exchange.number] = await ask(gateways[exchange.who], exchange)
            else:  # it may have its effect all the same
                token = shown[exchange.who]
                headers = exchange.headers | ({"X-Auth-Token": token} if token else {})
                await direct.request(exchange.method, exchange.path, headers=headers, content=exchange.body)
    return answers


@lru_cache
def known() -> dict[tuple[int, int], dict[str, Any]]:
    """The jobs of the recorded instance as it started."""
    body = expected(EXCHANGES[0]).body
    assert isinstance(body, dict)
    return {(one["jobId"], one["startTime"]): one for one in body["jobs"]}


def agreed(exchange: Exchange) -> tuple[Answer, Answer]:
    return like_a_list(replayed()[exchange.number], known()), like_a_list(expected(exchange), known())


@pytest.mark.parametrize("exchange", [one for one in ASKED if not left_out(one)], ids=lambda e: e.id)
def test_answers_as_recorded(exchange: Exchange) -> None:
    given, wanted = agreed(exchange)
    assert given == wanted


@pytest.mark.parametrize("exchange", [one for one in ASKED if left_out(one)], ids=lambda e: e.id)
def test_what_is_left_out_does_differ(exchange: Exchange) -> None:
    given, wanted = agreed(exchange)
    assert given != wanted, f"{exchange.case!r} need not be left out"


def test_nothing_is_skipped_silently() -> None:
    assert {one.case for one in ASKED if left_out(one)} | {231} >= LEFT_OUT.keys()
    counts = Counter(reason_to_skip(one) or left_out(one) or "compared" for one in EXCHANGES)
    assert counts == {
        "compared": 206,
        OTHERS: 20,
        IDENTITY: 51,
        STORE: 5,
        ONCE: 3,
        POURED: 2,
        HEADER: 1,
        UNSEEN: 1,
        WORDS: 1,
        METADATA: 1,
    }
