"""A gateway and its sites in a thread of their own, for tests that ask from outside of an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acceptance.recorded import serving
from ccgateway.identity.ed25519 import mint
from ccgateway.settings import Settings
from ccgateway.simulator import SimulatedSite, serve

__all__ = ["Front", "running"]


@dataclass(frozen=True, slots=True)
class Front:
    """Where the gateway is, and a token for each of its users."""

    url: str
    tokens: Mapping[str, str]


@contextmanager
def running(
    sites: Mapping[str, SimulatedSite], numbers: Mapping[str, int], folder: Path, **users: tuple[str, ...]
) -> Iterator[Front]:
    """A gateway whose ``users`` (name and roles) are shown to each site by their own tokens there."""
    key = Ed25519PrivateKey.generate()
    (folder / "gateway.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    tokens = {name: mint(key, name, roles, now=time.time(), lifetime=3600).get_secret_value() for name, roles in users.items()}
    table = folder / "people.toml"
    table.touch(mode=0o600)
    table.write_text(
        "".join(f'[{user}.{name}]\ntoken = "{site.token(user)}"\n' for user in users for name, site in sites.items())
    )
    found: list[str] = []
    ready, done, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def work() -> None:
        async with serve(*sites.values()) as addresses:
            settings = {
                "issuers": {"own": {"key_file": str(folder / "gateway.pub")}},
                "identities": {"table": str(table)},
                "sites": {name: {"number": numbers[name], "url": addresses[name].url} for name in sites},
            }
            async with serving(Settings.model_validate(settings)) as client:
                found.append(str(client.base_url))
                ready.set()
                await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(work()))
    thread.start()
    try:
        assert ready.wait(60)
        yield Front(found[0], tokens)
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
