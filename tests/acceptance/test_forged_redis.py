"""A Redis whose entries have true names, headers and checks, and hold what no gateway put there: the sites are asked again."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from acceptance.conftest import gateway_over
from acceptance.test_cache import REDIS, questions, running, told  # noqa: F401 - a fixture
from cache.servers import Valkey
from ccgateway.cache import codec as codecs
from ccgateway.cache.codec import Codec
from ccgateway.cache.entries import Entry
from ccgateway.cache.keys import Key
from ccgateway.simulator.serve import Address

FORGED = {
    "nothing": b"",
    "text": b"\xff\xfe no answer of any site",
    "nil": b"\xc0",
    "an integer": b"\x07",
    "a string": b"\xa3foo",
    "a list of integers": b"\x93\x01\x02\x03",
    "an empty map": b"\x80",
    "a list of texts that are none": b"\x92\xa2\xff\xfe\xa1\x80",
    "a deep nesting": b"\x91" * 100_000 + b"\xc0",
    "JSON": b'{"jobs": [7]}',
    "JSON null": b"null",
    "a long list that is cut": b"\xdd\xff\xff\xff\xff\x01",
}


@pytest.mark.parametrize("payload", list(FORGED.values()), ids=list(FORGED))
async def test_a_payload_that_nobody_can_read_is_a_miss_for_every_kind_of_entry(
    payload: bytes,
    running: Mapping[str, Address],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = questions(running["aurora"].site)
    pack, kinds = Codec.pack, set()
    wanted = {("clusters", False), ("users", False), ("job", True)}

    async def forge(self: Codec, key: Key, entry: Entry) -> bytes:
        is_of_a_job = "/" in key.subject
        kinds.add(("job" if is_of_a_job else key.subject, is_of_a_job and len(key.question) == 2))  # of one metric
        return await pack(self, key, dataclasses.replace(entry, payload=payload, absent=False))

    settings = {**REDIS, "redis_timeout": 5.0, "redis_connect_timeout": 5.0}
    async with gateway_over(running, cache={"memory_bytes": 0}) as plain:
        truth = {name: told(await plain.ask(query, **variables)) for name, (query, variables) in asked.items()}
    with Valkey(tmp_path) as valkey:
        settings["redis_url"] = valkey.url
        with monkeypatch.context() as patched:
            patched.setattr(codecs.Codec, "pack", forge)
            async with gateway_over(running, cache=settings) as liar:
                for query, variables in asked.values():
                    await liar.ask(query, **variables)
                async with asyncio.timeout(60):
                    while not wanted <= kinds:  # they are put after the answer  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
        assert wanted <= kinds
        caplog.clear()
        with caplog.at_level(logging.WARNING, "ccgateway.cache"):
            async with gateway_over(running, cache=settings) as front:
                for _ in range(2):
                    found = {name: told(await front.ask(query, **variables)) for name, (query, variables) in asked.items()}
                    assert found == truth
        said = [one.getMessage() for one in caplog.records if one.name == "ccgateway.cache"]
        assert len(said) == 1 and "could not be read" in said[0], said
