"""``/cc-backend/1.5`` answers every recorded exchange of cc-backend 1.5.4 that a gateway can be asked as the real instance did.

Asked in their order and by the same people, over one simulated 1.5.4 site, which the gateway writes to as well. Status, Allow,
Location, the content type and the body are compared; ids are the gateway's. What is left out is named with its reason, in
``LEFT_OUT`` or by ``reason_of_the_caller``; what agrees after all fails.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from acceptance.recorded import ask, expected, front_of, is_of_gateway, like_a_list, serving
from ccgateway.simulator import SimulatedSite, serve
from contract.exchanges import Exchange, clusters, exchanges, jobs
from contract.test_simulator_replays_recordings import COMMIT, Answer, tokens

RECORDING = "v1.5.4"
EXCHANGES = exchanges(RECORDING)

OTHERS = "the gateway has a GraphQL of its own, and does not feed sites' metric stores"
TOKENS = "whatever is wrong with a token, the gateway says it in the same words"
DOORS = "the gateway does not ask for the role api beside another"
SCHEME = "a token goes with X-Auth-Token, or with Authorization: Bearer"
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

#: whose tokens are not believed, and who lacks the role api
UNFIT = frozenset({"nobody", "malformed", "forged", "expired", "hs256", "norole", "nosub"})
WITHOUT_API = frozenset({"adminonly", "useronly"})


def reason_to_skip(exchange: Exchange) -> str | None:
    """Why it is not asked of a gateway."""
    return None if is_of_gateway(exchange) else OTHERS


def reason_of_the_caller(exchange: Exchange) -> str | None:
    """What about the one who asks makes the answer another."""
    if exchange.answer["status"] != 401:
        return SCHEME if exchange.case == "list with bare Authorization" else None
    if exchange.who in UNFIT:
        return TOKENS
    return (
        DOORS if exchange.who in WITHOUT_API and not (exchange.who == "useronly" and exchange.path.startswith("/api/")) else None
    )


def left_out(exchange: Exchange) -> str | None:
    """Why its answer is not compared."""
    return reason_of_the_caller(exchange) or LEFT_OUT.get(exchange.case) or LEFT_OUT.get(exchange.number)


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
    own = {name: site.token(name) for name in site.users} | {"stranger": str(shown["stranger"])}
    with TemporaryDirectory() as folder:
        async with serve(site) as running, httpx.AsyncClient(base_url=running[RECORDING].url) as direct:
            settings = front_of(running[RECORDING].url, public_of(site), own, Path(folder))
            async with serving(settings) as gateway:
                for exchange in EXCHANGES:
                    # times are whole seconds in the recording: those who waited for the archive waited within one
                    clock[0] = exchange.at + (ARCHIVING if exchange.number >= ARCHIVED.number else 0)
                    token = shown[exchange.who]
                    if exchange in ASKED:
                        answers[exchange.number] = await ask(gateway, exchange, token)
                    else:  # it may have its effect all the same
                        headers = exchange.headers | ({"X-Auth-Token": token} if token else {})
                        await direct.request(exchange.method, exchange.path, headers=headers, content=exchange.body)
    return answers


def public_of(site: SimulatedSite) -> bytes:
    """The site's public key, as cc-backend's JWT_PUBLIC_KEY has it."""
    return base64.b64encode(site.keys.private.public_key().public_bytes_raw())


@lru_cache
def known() -> dict[tuple[int, int], dict[str, Any]]:
    """The jobs of the recorded instance as it started."""
    body = expected(EXCHANGES[0]).body
    assert isinstance(body, dict)
    return {(one["jobId"], one["startTime"]): one for one in body["jobs"]}


def agreed(exchange: Exchange) -> tuple[Answer, Answer]:
    return like_a_list(replayed()[exchange.number], known()), like_a_list(expected(exchange), known())


def test_every_exchange_is_answered_as_recorded_but_those_left_out() -> None:
    pairs = {one.id: agreed(one) for one in ASKED}
    found = {name: (given, wanted) for name, (given, wanted) in pairs.items() if given != wanted}
    unlike = {one.id for one in ASKED if left_out(one)}
    wrong = [f"{name}\n  given:  {given}\n  wanted: {wanted}" for name, (given, wanted) in found.items() if name not in unlike]
    assert not wrong, "\n".join(wrong)
    assert unlike - found.keys() == set(), "these agree, and need not be left out"


def test_nothing_is_skipped_silently() -> None:
    assert {one.case for one in ASKED if left_out(one)} | {231} >= LEFT_OUT.keys()
    counts = Counter(reason_to_skip(one) or left_out(one) or "compared" for one in EXCHANGES)
    assert counts == {
        "compared": 230,
        OTHERS: 20,
        TOKENS: 15,
        DOORS: 11,
        SCHEME: 1,
        STORE: 5,
        ONCE: 3,
        POURED: 2,
        HEADER: 1,
        UNSEEN: 1,
        WORDS: 1,
        METADATA: 1,
    }


def test_a_token_that_is_not_believed_is_a_401_of_the_same_form() -> None:
    answers = {one.id: replayed()[one.number] for one in ASKED if reason_of_the_caller(one) == TOKENS}
    forms = {
        name: (answer.status, sorted(answer.body), answer.body["status"]) if isinstance(answer.body, dict) else answer
        for name, answer in answers.items()
    }
    assert forms == dict.fromkeys(answers, (401, ["error", "status"], "Unauthorized"))
