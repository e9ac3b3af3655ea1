"""What every face does with a request: names it, reads its body within bounds, and reads what it would rather have."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ccgateway.errors import Code, RequestError
from ccgateway.telemetry.requests import Surface, current_request, new_request_id, waiting
from ccgateway.traffic.overload import Arrival, current_arrival

__all__ = ["LateBodyError", "begin_request", "check_texts", "check_values", "idempotency_key_among", "qualities", "read_body"]

_QUALITY = re.compile(r"[01](\.\d{0,3})?")


class LateBodyError(RequestError):
    """The body did not come in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(Code.BAD_REQUEST, f"The body did not come within {seconds:g} s.")


def begin_request(surface: Surface) -> str:
    """The id of the request that the current task answers on that face; the task bears it, for whoever looks at tasks."""
    record = current_request()
    if record is not None:
        record.surface = surface
    request_id = record.request_id if record is not None else new_request_id()
    task = asyncio.current_task()
    if task is not None:
        task.set_name(f"request {request_id}")
    return request_id


async def read_body(receive: Receive, most_bytes: int, seconds: float) -> bytes:
    """The request's body. ``BODY_TOO_LARGE`` as soon as it is larger than ``most_bytes``; ``LateBodyError`` after ``seconds``;
    ``ClientDisconnect`` if the caller goes away meanwhile. While it is on its way, the request takes no place of those under way,
    and may find none afterwards (``OVERLOADED``)."""
    arrival = current_arrival()
    try:
        with waiting():
            async with asyncio.timeout(seconds):
                body = await _read_body(receive, most_bytes, arrival)
            if arrival is not None:
                await arrival.come_back()
            return body
    except TimeoutError:
        raise LateBodyError(seconds) from None


def idempotency_key_among(values: Iterable[str]) -> str | None:
    """The key in the values of ``Idempotency-Key``; ``None`` if there is none. ``BAD_REQUEST`` for several that differ."""
    found = set(values) - {""}
    if len(found) > 1:
        raise RequestError(Code.BAD_REQUEST, "Send one Idempotency-Key: those of this request differ.")
    return next(iter(found), None)


def check_values(body: bytes, most: int) -> None:
    """Raises ``LIMIT_EXCEEDED`` for JSON of more than ``most`` values, or nearly: counted on the text, before it is decoded, as
    each takes much more time and memory than its bytes."""
    if len(body) > most and sum(map(body.count, (b",", b"[", b"{"))) > most:
        raise RequestError(Code.LIMIT_EXCEEDED, f"The body has more than {most} values, the limit (limits.body_values).")


def check_texts(body: bytes, most: int) -> None:
    """The same for texts and objects, for who looks at them one by one: they cost most by far."""
    if len(body) > most and body.count(b'"') // 2 + body.count(b"{") > most:
        words = f"The body has more than {most} texts (keys too) and objects, the limit (limits.body_texts)."
        raise RequestError(Code.LIMIT_EXCEEDED, words)


def qualities(accepted: str) -> Mapping[str, float]:
    """What a header such as ``Accept`` names, in lower case, and how much each is wanted: 0 to 1.

    Parameters other than ``q`` are passed over; what has a quality that is none is not wanted.
    """
    found: dict[str, float] = {}
    for part in accepted.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        if name:
            found[name] = min(1.0, float(quality)) if _QUALITY.fullmatch(quality) else 0.0
    return found


async def _read_body(receive: Receive, most_bytes: int, arrival: Arrival | None) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most_bytes:
            raise RequestError(Code.BODY_TOO_LARGE, f"The body is larger than {most_bytes} bytes (limits.body_bytes).")
        if not message.get("more_body"):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)
        if arrival is not None:
            arrival.step_out()
