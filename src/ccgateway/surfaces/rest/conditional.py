"""Answers that need not be sent again: entity tags of jobs that have ended and are archived.

Nothing of such a job changes but its tags and metadata, so its row tells whether an answer about it is still the same, metrics
included, without reading them. What runs, or is being archived, has no entity tag.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from ccgateway.errors import GatewayError
from ccgateway.jobs.model import JobRow
from ccgateway.surfaces.rest.calls import Answer, Call, encode
from ccgateway.surfaces.rest.jobs import SINGLE, job

__all__ = ["etag_of", "if_changed", "is_known"]

ARCHIVED = 3
_NOT_ENDED = frozenset({"running", "pending", "suspended"})
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def etag_of(row: JobRow, call: Call, variant: str) -> str | None:
    """The entity tag of an answer about the job of ``row``, which has ``SINGLE``; ``variant``: what else the answer depends on.
    ``None`` while its metrics may change."""
    if row.state in _NOT_ENDED or row.monitoring_status != ARCHIVED:
        return None
    whole = encode([variant, row.site, job(row, call.ids, meta_data=row.meta_data_json)])
    return f'W/"{blake2b(whole, digest_size=12).hexdigest()}"'


def is_known(etag: str | None, call: Call) -> bool:
    """Whether the caller already has the answer with that tag."""
    known = call.headers.get("if-none-match", "")
    if etag is None or not known:
        return False
    return known.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(known)


async def if_changed(call: Call, job_id: str, variant: str, answer: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """What ``answer`` gives, under the job's entity tag if it is lasting; 304 where the caller has it.

    The job's row is read beside it, or before it where the caller asks conditionally: then the metrics need not be read.
    """
    if "if-none-match" in call.headers:
        etag = await _etag(call, job_id, variant)
        return Answer(304, etag=etag) if is_known(etag, call) else _under(etag, await answer())
    reading, telling = asyncio.create_task(_etag(call, job_id, variant)), asyncio.create_task(answer())
    try:
        found = await telling
        return _under(await reading, found)
    finally:
        reading.cancel()
        telling.cancel()
        await asyncio.gather(reading, telling, return_exceptions=True)


def _under(etag: str | None, found: Answer) -> Answer:
    return replace(found, etag=etag) if found.lasting else found


async def _etag(call: Call, job_id: str, variant: str) -> str | None:
    try:
        return etag_of(await call.gateway.job(job_id, call.caller, fields=SINGLE), call, variant)
    except GatewayError:
        return None
