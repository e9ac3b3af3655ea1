"""Six people, simulated sites of every release, and a gateway that shows each person to each site in one of the possible ways."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acceptance.conftest import PATIENT, PATIENT_SITES
from ccgateway.app import Application, create_app
from ccgateway.identity.ed25519 import mint
from ccgateway.settings import Settings
from ccgateway.simulator import SimulatedSite, serve
from ccgateway.simulator.backend import DEFAULT_USERS
from ccgateway.simulator.messages import Request, Response

__all__ = ["JOBS", "PEOPLE", "Caller", "WatchedSite", "gateway_for", "job", "site_of"]

#: name → roles, at the gateway and at every site; carol exists at no site's table
PEOPLE: Mapping[str, Sequence[str]] = {**DEFAULT_USERS, "carol": ("user", "api")}
NOW = 1_760_000_000
OWNERS = ("alice", "bob", "mona", "demo", "alice", "dave")


def job(number: int, owner: str, cluster: str) -> dict[str, Any]:
    return {
        "id": number,
        "jobId": 1000 + number,
        "user": owner,
        "project": f"p_{owner}",
        "cluster": cluster,
        "subCluster": "main",
        "numNodes": 1,
        "startTime": NOW - 100_000 + number,
        "duration": 600,
        "walltime": 3600,
        "jobState": "completed",
        "resources": [{"hostname": "an001"}],
        "metaData": {"jobName": f"job{number}"},
    }


#: how many jobs a site has
JOBS = 24


class WatchedSite(SimulatedSite):
    """Remembers every request with its headers and their values."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.heard: list[Request] = []

    def answer(self, request: Request) -> Response:
        self.heard.append(request)
        return super().answer(request)

    def says(self, target: str, token: str, method: str = "GET", body: bytes = b"") -> Response:
        """What the site itself answers to that token, unheard."""
        path, _, query = target.partition("?")
        return super().answer(Request(method, path, query, (("x-auth-token", token),), body))

    def says_json(self, target: str, token: str) -> Any:
        answer = self.says(target, token)
        return msgspec.json.decode(answer.body) if answer.status == 200 else None


def site_of(release: str, name: str = "") -> WatchedSite:
    name = name or "site" + release.replace(".", "")
    owners = [OWNERS[number % len(OWNERS)] for number in range(JOBS)]
    jobs = [job(number, owner, name) for number, owner in enumerate(owners, 1)]
    return WatchedSite(name, release, jobs, clock=lambda: float(NOW))


@dataclass
class Caller:
    """One person at the gateway, over HTTP."""

    url: str
    session: aiohttp.ClientSession
    token: str | None
    headers: dict[str, str] = field(default_factory=dict)

    async def post(self, query: str, **variables: Any) -> tuple[int, str, dict[str, Any]]:
        """Status, text, and the text decoded."""
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **self.headers}
        async with self.session.post(self.url, json={"query": query, "variables": variables}, headers=headers) as answer:
            text = await answer.text()
            return answer.status, text, json.loads(text)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        return (await self.post(query, **variables))[2]

    async def get(self, path: str) -> str:
        """What a ``GET`` of the REST faces answers, its headers included."""
        headers = {**({"X-Auth-Token": self.token} if self.token else {}), **self.headers}
        async with self.session.get(self.url.removesuffix("/graphql") + path, headers=headers) as answer:
            return f"{answer.status} {answer.headers} {await answer.text()}"


@dataclass
class Gate:
    """A running gateway, and tokens for everybody."""

    url: str
    session: aiohttp.ClientSession
    key: Ed25519PrivateKey
    app: Application
    people: Mapping[str, Sequence[str]] = field(default_factory=lambda: PEOPLE)

    def caller(self, name: str | None, roles: Sequence[str] | None = None, **headers: str) -> Caller:
        """That person (``None``: nobody)."""
        token = self.token(name, self.people[name] if roles is None else roles) if name is not None else None
        return Caller(self.url, self.session, token, headers)

    def token(self, name: str, roles: Sequence[str]) -> str:
        return mint(self.key, name, roles, now=time.time(), lifetime=600).get_secret_value()


def sections_for(sites: Sequence[SimulatedSite], urls: Mapping[str, str], way: str, folder: Path) -> dict[str, Any]:
    """The settings that show people to ``sites`` by a table, by tokens signed for them, or by the service token."""
    sections: dict[str, dict[str, Any]] = {
        site.name: {"number": number, "url": urls[site.name], "same_names": True, **PATIENT_SITES}
        for number, site in enumerate(sites, 1)
    }
    identities: dict[str, Any] = {}
    if way == "table":
        lines = [
            f'[{name}.{site.name}]\ntoken = "{site.mint(name, roles)}"\n' for name, roles in PEOPLE.items() for site in sites
        ]
        path = folder / "table.toml"
        path.write_text("\n".join(lines))
        path.chmod(0o600)
        identities["table"] = str(path)
    for site in sites:
        if way == "signed":
            sections[site.name]["signing_key"] = site.keys.private_base64
        if way == "service":
            sections[site.name]["token"] = site.token("demo")
    return {"sites": sections, "identities": identities}


@asynccontextmanager
async def gateway_for(
    *sites: SimulatedSite,
    way: str,
    folder: Path,
    each: Mapping[str, Any] | None = None,
    extra: Mapping[str, Mapping[str, Any]] | None = None,
    **sections: Any,
) -> AsyncIterator[Gate]:
    """A running gateway over running ``sites``; ``each``: more settings of every site, ``extra``: of single ones."""
    key = Ed25519PrivateKey.generate()
    public = folder / "issuer.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    async with serve(*sites) as running:
        made = sections_for(sites, {name: address.url for name, address in running.items()}, way, folder)
        for name, section in made["sites"].items():
            section.update({**(each or {}), **(extra or {}).get(name, {})})
        issuers = {"robots": {"key_file": str(public)}}
        settings = Settings(**{"issuers": issuers, "limits": PATIENT, **made, **sections})
        app = create_app(settings)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=2))
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            async with aiohttp.ClientSession() as session:
                yield Gate(f"http://127.0.0.1:{port}/graphql", session, key, app)
        finally:
            server.should_exit = True
            await serving
