"""The recorded exchanges of cc-backend 1.5.4, asked of a gateway over one site that is as the recorded instance was.

The gateway believes the tokens of the site, and shows everybody there by their own. Ids are those of the gateway: the site's own
times 1000, plus its number.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from ccgateway.app import create_app
from ccgateway.settings import Settings
from contract.exchanges import Exchange
from contract.test_simulator_replays_recordings import Answer, comparable, recorded

__all__ = ["FACE", "NUMBER", "ask", "expected", "front_of", "is_of_gateway", "like_a_list", "serving"]

FACE = "/cc-backend/1.5"
NUMBER = 1

_ID_IN_PATH = re.compile(r"(/(?:jobs|metrics|tag_job|edit_meta|delete_job|stop_job)/)(\d+)(?=$|[?/])")
_ID_IN_WORDS = re.compile(r"(db id |\(id |deleted job |dbid: )(\d+)")


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running gateway."""
    config = uvicorn.Config(create_app(settings), port=0, log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        await running


def front_of(url: str, public: bytes, tokens: Mapping[str, str], folder: Path) -> Settings:
    """A gateway over that one site, which believes the site's tokens (``public``: its key) and shows everybody by their own."""
    (folder / "site.pub").write_bytes(public)
    table = folder / "people.toml"
    table.touch(mode=0o600)
    table.write_text("".join(f'[{name}.aurora]\ntoken = "{token}"\n' for name, token in tokens.items()))
    site = {"number": NUMBER, "url": url, "release": "1.5"}
    return Settings.model_validate(
        {
            "issuers": {"site": {"key_file": str(folder / "site.pub"), "needs_expiry": False, "default_role": ""}},
            "identities": {"table": str(table)},
            "sites": {"aurora": site},
            "cache": {"memory_bytes": 0},
        }
    )


def is_of_gateway(exchange: Exchange) -> bool:
    """Whether it can be asked of a gateway at all: it is no GraphQL, and does not feed a site's metric store."""
    return not exchange.path.startswith(("/query", "/api/write/"))


def _id(number: int | str) -> int:
    return int(number) * 1000 + NUMBER


def _with_ids(value: Any) -> Any:
    """A recorded body with the gateway's ids of jobs."""
    if isinstance(value, str):
        return _ID_IN_WORDS.sub(lambda found: f"{found[1]}{_id(found[2])}", value)
    if isinstance(value, list):
        return [_with_ids(one) for one in value]
    if isinstance(value, dict):
        changed = {key: _with_ids(one) for key, one in value.items()}
        if "jobId" in value and "id" in value:
            changed["id"] = _id(value["id"])
        return changed
    return value


def expected(exchange: Exchange) -> Answer:
    """The recorded answer as the gateway should give it, without what may differ."""
    answer = recorded(exchange)
    return comparable(Answer(answer.status, answer.content_types, answer.headers, _with_ids(answer.body)))


async def ask(client: httpx.AsyncClient, exchange: Exchange, token: str | None) -> Answer:
    """What the gateway answers, without what may differ."""
    headers = dict(exchange.headers)
    if token is not None:
        name, _, scheme = exchange.auth.partition(" ")
        headers[name] = f"{scheme} {token}".strip()
    path = FACE + _ID_IN_PATH.sub(lambda found: f"{found[1]}{_id(found[2])}", exchange.path)
    response = await client.request(exchange.method, path, headers=headers, content=exchange.body)
    try:
        body: object = response.json()
    except json.JSONDecodeError:
        body = response.text
    shown = {name: response.headers[name] for name in ("Allow", "Location") if name in response.headers}
    return comparable(Answer(response.status_code, response.headers.get_list("content-type") or None, shown, body))


def like_a_list(answer: Answer, known: Mapping[tuple[int, int], dict[str, Any]]) -> Answer:
    """A list, as far as it is determined: jobs of one second come in no particular order, so where a page cuts such a second only
    how many of it there are is; each of them has to be the job that is ``known`` under its number and start time."""
    body = answer.body
    if not isinstance(body, dict) or "items" not in body:
        return answer
    jobs: list[dict[str, Any]] = body["jobs"]
    cut = {jobs[0]["startTime"], jobs[-1]["startTime"]} if jobs else set()
    shown = [(one["startTime"], _told(one, known) if one["startTime"] in cut else one) for one in jobs]
    shown.sort(key=lambda pair: (-pair[0], json.dumps(pair[1])))
    return Answer(answer.status, answer.content_types, answer.headers, body | {"jobs": shown})


def _told(job: dict[str, Any], known: Mapping[tuple[int, int], dict[str, Any]]) -> bool | dict[str, Any]:
    whole = known.get((job["jobId"], job["startTime"]))
    return True if whole is not None and job in (whole, whole | {"metaData": None}) else job
