"""One call: who asks, until when, what it may take of what all share, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import DecodeError, Message

from ccgateway.deadline import Deadline, caller_waits_until
from ccgateway.errors import Code, GatewayError, RequestError, forget_frames
from ccgateway.federation.commands import WriteCall
from ccgateway.identity.callers import Callers
from ccgateway.identity.principal import Principal
from ccgateway.settings import GrpcSettings
from ccgateway.surfaces.callers import token_among
from ccgateway.surfaces.grpc.costs import check_fields
from ccgateway.surfaces.grpc.statuses import status_of, trailers_of
from ccgateway.surfaces.requests import begin_request
from ccgateway.telemetry import Observer
from ccgateway.telemetry.recorder import Recorder
from ccgateway.telemetry.requests import RequestRecord, Surface, recorded, waiting
from ccgateway.traffic.admission import Sending, Traffic
from ccgateway.traffic.overload import current_arrival, is_arrival

__all__ = ["Call", "Calls"]

log = logging.getLogger(__name__)

T = TypeVar("T")
Request = TypeVar("Request", bound=Message)

#: of the time that a caller waits, what is kept for the way of a partial answer: a part, and at most so many seconds
MARGIN, LARGEST_MARGIN = 0.1, 1.0
#: seconds after which a caller that was refused for too many calls may try again
RETRY_AFTER = 1.0

STOPPING = "The gateway is stopping. A stream goes on at another one, or in a moment, with its last resume_token as page_token."
TOO_LATE = "The caller's deadline passed before there was an answer."


@dataclass(slots=True)
class Call:
    """One call of ``caller``. ``waits_until``: the caller's own deadline, less what the answer takes; ``None`` if it has none."""

    caller: Principal
    request_id: str
    waits_until: Deadline | None
    _calls: Calls
    _context: grpc.aio.ServicerContext[Any, Any]

    def write_call(self, idempotency_key: str) -> WriteCall:
        """How it writes."""
        return WriteCall(self.request_id, idempotency_key or None)

    @contextmanager
    def sending(self) -> Iterator[Sending]:
        """For the length of one message of a stream, from the first byte read for it until it is on its way."""
        with self._calls.traffic.sending() as sending:
            yield sending

    @asynccontextmanager
    async def admitted(self, sending: Sending) -> AsyncIterator[None]:
        """For the length of the work on one message. Raises ``RATE_LIMITED``, and ``STOPPING`` once the gateway stops."""
        async with self._calls.traffic.admitted(self.caller.share, sending):
            yield
        if sending.refusal is not None:
            raise sending.refusal

    async def send(self, message: bytes) -> None:
        """Sends one message of a stream; returns when the client has room for the next. Raises ``RATE_LIMITED`` where it does not
        take it in time."""
        self._calls.check_size(message)
        if (arrival := current_arrival()) is not None:
            arrival.leave()  # from now on it takes as long as its reader likes
        seconds = self._calls.settings.stalled_after
        try:
            with waiting():
                async with asyncio.timeout(seconds):
                    await self._context.write(message)
        except TimeoutError:
            text = f"The client did not take a message within {seconds:g} s (grpc.stalled_after)."
            raise RequestError(Code.RATE_LIMITED, text, retry_after=RETRY_AFTER) from None


@dataclass(slots=True)
class Calls:
    """All calls of this process. Owns none of their tasks, but ends them when the gateway stops (``cut``)."""

    callers: Callers
    traffic: Traffic
    settings: GrpcSettings
    most_request_bytes: int
    most_request_fields: int
    recorder: Recorder = field(default_factory=lambda: Recorder(Observer()))
    is_stopping: bool = False
    _running: set[asyncio.Task[Any]] = field(default_factory=set)
    _calls_of: Counter[Hashable] = field(default_factory=Counter)
    _streams: Counter[Hashable] = field(default_factory=Counter)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _is_cut: bool = False

    @property
    def running(self) -> int:
        """Calls that are under way."""
        return len(self._running)

    def unary(
        self, kind: type[Request], run: Callable[[Request, Call], Awaitable[Message | bytes]]
    ) -> Callable[[bytes, grpc.aio.ServicerContext[Any, Any]], Awaitable[bytes]]:
        """The handler of a method with one answer."""

        async def handle(body: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            async def work(call: Call) -> bytes:
                # what the answer takes of memory is given back when it is on its way, or nobody waits for it any more
                sending = Sending()
                _when_done(context, lambda: _close(sending))
                async with call.admitted(sending):
                    answer = await run(self._parsed(kind, body), call)
                message = answer if isinstance(answer, bytes) else answer.SerializeToString()
                self.check_size(message)
                sending.settle(len(message))
                return message

            message = await self._serve(context, work)
            self._end_if_stalled(context)
            return message

        return handle

    def streaming(
        self, kind: type[Request], run: Callable[[Request, Call], Awaitable[None]]
    ) -> Callable[[bytes, grpc.aio.ServicerContext[Any, Any]], Awaitable[None]]:
        """The handler of a method with a stream of answers."""

        async def handle(body: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            async def work(call: Call) -> None:
                with self._stream_of(call.caller.share):
                    await run(self._parsed(kind, body), call)

            await self._serve(context, work)

        return handle

    def check_size(self, message: bytes) -> None:
        """Refuses to send more than the settings allow in one message."""
        most = self.settings.message_bytes
        if len(message) > most:
            text = f"The answer has {len(message)} bytes, more than {most} (grpc.message_bytes). Ask for less, or for a stream."
            raise RequestError(Code.LIMIT_EXCEEDED, text)

    # --- one call

    async def _serve(self, context: grpc.aio.ServicerContext[Any, Any], work: Callable[[Call], Awaitable[T]]) -> T:
        record = self.recorder.begin(Surface.GRPC, *_ids_in(context))
        context.set_trailing_metadata(_id_of(record))
        try:
            with recorded(record):
                return await self._recorded(context, work, record)
        finally:
            self.recorder.end(record, time.perf_counter() - record.began)

    async def _recorded(
        self, context: grpc.aio.ServicerContext[Any, Any], work: Callable[[Call], Awaitable[T]], record: RequestRecord
    ) -> T:
        request_id = begin_request(Surface.GRPC)
        until: Deadline | None = None
        try:
            with self._entered():
                caller = await self._caller(context)
                record.caller = caller.subject
                until = _caller_deadline(context)
                with self._call_of(caller.share), caller_waits_until(until):
                    return await self._in_turn(work, Call(caller, request_id, until, self, context))
        except GatewayError as error:
            failure = error
        except asyncio.CancelledError:
            if not self._is_cut:
                record.is_cancelled = True
                raise
            failure = GatewayError(Code.STOPPING, STOPPING)
        except Exception:
            # the boundary: logged with its traceback, answered without
            log.exception("request %s: internal error", request_id)
            failure = GatewayError(Code.INTERNAL, f"internal error, request id {request_id}")
        if until is not None and until.remaining <= 0 and failure.code in (Code.ALL_SITES_FAILED, Code.INCOMPLETE):
            failure = GatewayError(Code.TIMEOUT, TOO_LATE)
        forget_frames(failure)
        record.note_error(failure.code, failure.site)
        return await context.abort(status_of(failure), failure.message, (*trailers_of(failure), *_id_of(record)))

    @contextmanager
    def _entered(self) -> Iterator[None]:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call has a task")
        if self.is_stopping:
            raise GatewayError(Code.STOPPING, STOPPING)
        if len(self._running) >= self.settings.calls:
            text = f"More than {self.settings.calls} calls at a time (grpc.calls). Try again later."
            raise RequestError(Code.RATE_LIMITED, text, retry_after=RETRY_AFTER)
        self._running.add(task)
        try:
            yield
        finally:
            self._running.discard(task)
            if not self._running:
                self._ended.set()

    async def _in_turn(self, work: Callable[[Call], Awaitable[T]], call: Call) -> T:
        arrival = self.traffic.overload.arrive(call.caller.share)
        with is_arrival(arrival):
            await arrival.turn()
            return await work(call)

    @contextmanager
    def _call_of(self, share: Hashable) -> Iterator[None]:
        """Callers that are told apart leave as many calls free as each of them has."""
        held, free = self._calls_of[share], self.settings.calls - len(self._running)
        if held >= max(free, 1) and self.callers.everybody is None:
            text = f"This caller's calls fill its share of {self.settings.calls} (grpc.calls). Wait for those under way."
            raise RequestError(Code.RATE_LIMITED, text, retry_after=RETRY_AFTER)
        with _one_of(self._calls_of, share):
            yield

    @contextmanager
    def _stream_of(self, share: Hashable) -> Iterator[None]:
        most = self.settings.streams_per_caller
        if self._streams[share] >= most:
            text = f"More than {most} streams of this caller at a time (grpc.streams_per_caller). Read those that are open."
            raise RequestError(Code.RATE_LIMITED, text, retry_after=RETRY_AFTER)
        with _one_of(self._streams, share):
            yield

    async def _caller(self, context: grpc.aio.ServicerContext[Any, Any]) -> Principal:
        if self.callers.everybody is not None:
            return self.callers.everybody
        found: dict[str, list[str]] = {"x-auth-token": [], "authorization": []}
        for name, value in context.invocation_metadata() or ():
            if name in found and isinstance(value, str):
                found[name].append(value)
        return await self.callers.principal(token_among(found["x-auth-token"], found["authorization"]))

    def _parsed(self, kind: type[Request], body: bytes) -> Request:
        if len(body) > self.most_request_bytes:
            text = f"The request is larger than {self.most_request_bytes} bytes (limits.body_bytes)."
            raise RequestError(Code.BODY_TOO_LARGE, text)
        check_fields(body, kind, self.most_request_fields)
        try:
            return kind.FromString(body)
        except DecodeError:
            raise RequestError(Code.BAD_REQUEST, f"What was sent is no {kind.DESCRIPTOR.full_name}.") from None

    def _end_if_stalled(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Ends a call whose client does not take its one answer in time: the task that runs this sends it."""
        task = asyncio.current_task()
        if task is not None:
            timer = asyncio.get_running_loop().call_later(self.settings.stalled_after, task.cancel)
            _when_done(context, timer.cancel)

    # --- the end

    async def finished(self) -> None:
        """Returns once none is under way."""
        while self._running:
            self._ended.clear()
            await self._ended.wait()

    async def drain(self, seconds: float) -> None:
        """Takes no new calls, waits so long for those under way, and ends the others with ``STOPPING``."""
        self.is_stopping = True
        self._ended.clear()
        if self._running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
        self._is_cut = True
        for task in list(self._running):
            task.cancel()


@contextmanager
def _one_of(counts: Counter[Hashable], share: Hashable) -> Iterator[None]:
    counts[share] += 1
    try:
        yield
    finally:
        counts[share] -= 1
        if not counts[share]:
            del counts[share]


def _when_done(context: grpc.aio.ServicerContext[Any, Any], act: Callable[[], None]) -> None:
    context.add_done_callback(lambda _: act())  # type: ignore[arg-type]


def _ids_in(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[str | None, str | None]:
    """The request id and the trace that a call comes with."""
    found = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
    return found.get("x-request-id"), found.get("traceparent")


def _id_of(record: RequestRecord) -> tuple[tuple[str, str], ...]:
    return (("x-request-id", record.request_id),)


def _close(sending: Sending) -> None:
    if sending.account is not None:
        sending.account.close()


def _caller_deadline(context: grpc.aio.ServicerContext[Any, Any]) -> Deadline | None:
    left: float | None = context.time_remaining()
    if left is None:
        return None
    return Deadline.after(left - min(LARGEST_MARGIN, left * MARGIN))
