"""The answer that an export is: a file of one of three formats."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from importlib.util import find_spec

from ccgateway.errors import Code, GatewayError, RequestError, forget_frames
from ccgateway.surfaces.export.columns import Column
from ccgateway.surfaces.export.encodings import Csv, Encoding, JsonLines
from ccgateway.surfaces.export.records import End
from ccgateway.surfaces.rest.calls import Answer

__all__ = ["encoding_for", "file_answer", "to_its_end"]

log = logging.getLogger(__name__)


def encoding_for(name: str, columns: Sequence[Column]) -> Encoding:
    """A new one for ``jsonl``, ``csv`` or ``parquet``. ``UNSUPPORTED`` where what that takes is not installed."""
    if name == "jsonl":
        return JsonLines(columns)
    if name == "csv":
        return Csv(columns)
    if find_spec("pyarrow") is None:
        message = "format: this gateway cannot write Parquet: its operator has to install ccgateway[parquet]. Take jsonl or csv."
        raise RequestError(Code.UNSUPPORTED, message)
    from ccgateway.surfaces.export.parquet import Parquet  # a large library, which most gateways do without

    return Parquet(columns)


async def to_its_end(
    pieces: AsyncGenerator[bytes, None], encoding: Encoding, end: Callable[[GatewayError | None], End], request_id: str
) -> AsyncGenerator[bytes, None]:
    """``pieces``, and what comes last: the record that ``end`` makes of what they came to. Raises what they failed with where
    that cannot be written."""
    error: GatewayError | None = None
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if piece:
                    yield piece
    except GatewayError as failed:
        forget_frames(failed)
        error = failed
    except Exception:
        # the boundary: logged with its traceback, told without
        log.exception("request %s: internal error", request_id)
        error = GatewayError(Code.INTERNAL, f"internal error, request id {request_id}")
    if error is not None and not encoding.can_fail:
        raise error
    yield await encoding.end(end(error))


def file_answer(name: str, suffix: str, encoding: Encoding, first: bytes, rest: AsyncGenerator[bytes, None]) -> Answer:
    """``first`` and ``rest`` as a file of that name."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.{suffix}"',
        "X-Accel-Buffering": "no",  # a proxy that keeps what comes would make one wait for the end
    }
    return Answer(body=first, media_type=encoding.media_type, headers=headers, rest=rest)
