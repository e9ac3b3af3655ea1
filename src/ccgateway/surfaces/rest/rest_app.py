"""One face as an application: a request is routed, its caller found, its body read, and the answer given in the face's
format."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import replace

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from ccgateway.errors import Code, GatewayError, RequestError, SiteError, forget_frames, whole_seconds
from ccgateway.identity.principal import Principal
from ccgateway.surfaces.callers import CallerOf
from ccgateway.surfaces.presence import WhileConnected
from ccgateway.surfaces.requests import LateBodyError, begin_request, check_texts, check_values, idempotency_key_among, read_body
from ccgateway.surfaces.rest.access import AccessRule, refuse_other_origins
from ccgateway.surfaces.rest.calls import Answer, AppState, Call, Format, Query
from ccgateway.surfaces.rest.endpoints import Match, Operation, Table
from ccgateway.surfaces.rest.go_compat import RefusedError
from ccgateway.telemetry.requests import Surface, note_caller, note_error
from ccgateway.traffic.admission import Sending

__all__ = ["RestApp"]

log = logging.getLogger(__name__)


class RestApp:
    """ASGI application, mounted at its base. ``admits``: which callers; ``origins``: whose pages may ask."""

    def __init__(
        self,
        state: AppState,
        table: Table,
        format: Format,  # noqa: A002
        caller_of: CallerOf,
        *,
        admits: AccessRule,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._state, self._table, self._format, self._caller_of = state, table, format, caller_of
        self._admits, self._origins = admits, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        with self._state.traffic.sending() as sending, ExitStack() as closing:
            try:
                answer = await self._answer(request, sending, closing)
            except ClientDisconnect:
                answer = Answer(499, media_type=None)
            await _send(answer, send, with_body=request.method != "HEAD")
            if answer.rest is not None and request.method != "HEAD":
                await _send_rest(answer.rest, request.receive, send)

    async def _answer(self, request: Request, sending: Sending, closing: ExitStack) -> Answer:
        request_id = begin_request(Surface.REST)
        try:
            refuse_other_origins(request, self._origins)
            answer = await self._routed(request, request_id, sending, closing)
            sending.settle(len(answer.body))
            return answer
        except ClientDisconnect:
            raise
        except LateBodyError as late:
            note_error(late.code)
            return _with(self._format.failed(late), 408, {"Connection": "close"})
        except (GatewayError, RefusedError) as error:
            forget_frames(error)
            note_error(error.code if isinstance(error, GatewayError) else Code.BAD_REQUEST)
            headers = {"Connection": "close"} if isinstance(error, GatewayError) and error.code is Code.BODY_TOO_LARGE else {}
            answer = self._format.failed(error)
            if isinstance(error, RequestError | SiteError) and error.retry_after is not None:
                headers["Retry-After"] = str(whole_seconds(error.retry_after))
            return _with(answer, answer.status, headers)
        except Exception:
            # the boundary: logged with its traceback, answered without
            log.exception("request %s: internal error", request_id)
            note_error(Code.INTERNAL)
            return self._format.failed(GatewayError(Code.INTERNAL, f"internal error, request id {request_id}"))

    async def _routed(self, request: Request, request_id: str, sending: Sending, closing: ExitStack) -> Answer:
        matches = self._table.match(_path_below(request.scope))
        method = "GET" if request.method == "HEAD" and self._format.helpful else request.method
        match = next((one for one in matches if method in one.endpoint.operations), None)
        if match is not None:
            try:
                caller = await self._let_in(request)
            except GatewayError as error:
                note_error(error.code)
                return self._format.turned_away(error)
            operation = match.endpoint.operations[method]
            return await self._run(request, match, operation, caller, request_id, sending, closing)
        if self._format.asks_first:
            try:
                await self._let_in(request)
            except GatewayError as error:
                note_error(error.code)
                return self._format.turned_away(error)
        methods = list(dict.fromkeys(name for one in matches for name in one.endpoint.operations))
        if not methods:
            return self._format.unknown()
        if self._format.helpful:
            methods += ["HEAD"] * ("GET" in methods) + ["OPTIONS"]
            if method == "OPTIONS":
                return Answer(204, media_type=None, headers={"Allow": ", ".join(methods)})
        return self._format.wrong_method(methods)

    async def _let_in(self, request: Request) -> Principal:
        """Who asks, if this face is theirs."""
        caller = await self._caller_of(request)
        note_caller(caller.subject)
        if not self._admits(caller):
            raise RequestError(Code.FORBIDDEN, self._format.not_here)
        return caller

    async def _run(  # noqa: PLR0917 - what belongs to one request
        self,
        request: Request,
        match: Match,
        operation: Operation,
        caller: Principal,
        request_id: str,
        sending: Sending,
        closing: ExitStack,
    ) -> Answer:
        limits = self._state.limits
        query = Query(request.scope["query_string"].decode("latin-1"))
        self._format.check_query(query, operation)
        body = (
            b""
            if request.method in ("GET", "HEAD")
            else await read_body(request.receive, limits.body_bytes, limits.request_timeout)
        )
        if body and request.headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestError(Code.BAD_REQUEST, "Send the body without Content-Encoding.")
        check_values(body, limits.body_values)
        check_texts(body, limits.body_texts)
        headers: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            headers.setdefault(name, []).append(value)
        joined = {name: ", ".join(values) for name, values in headers.items()}
        joined["idempotency-key"] = idempotency_key_among(headers.get("idempotency-key", ())) or ""
        call = Call(self._state, self._format, caller, request.method, match.values, query, joined, body, request_id, closing)
        async with WhileConnected(request.receive), self._state.traffic.admitted(caller.share, sending):
            answer = await operation.run(call)
        if sending.refusal is not None:
            raise sending.refusal
        return answer


def _with(answer: Answer, status: int, headers: dict[str, str]) -> Answer:
    return replace(answer, status=status, headers={**answer.headers, **headers})


def _path_below(scope: Scope) -> str:
    """The path below the face's base, as it was sent."""
    raw = scope.get("raw_path") or scope["path"].encode()
    path: str = raw.decode("latin-1").partition("?")[0]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root)


async def _send(answer: Answer, send: Send, *, with_body: bool) -> None:
    headers = [("X-Content-Type-Options", "nosniff"), *answer.headers.items()]
    if answer.etag is not None:
        headers += [("ETag", answer.etag), ("Cache-Control", "private, no-cache")]
    else:
        headers.append(("Cache-Control", "no-store"))
    if answer.status != 304:
        if answer.rest is None:
            headers.append(("Content-Length", str(len(answer.body))))
        if answer.media_type is not None:
            headers.append(("Content-Type", answer.media_type))
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    body = answer.body if with_body and answer.status != 304 else b""
    await send({"type": "http.response.body", "body": body, "more_body": with_body and answer.rest is not None})


async def _send_rest(rest: AsyncGenerator[bytes, None], receive: Receive, send: Send) -> None:
    """Sends the pieces of ``rest``, for as long as the caller is there. Where it fails, the response has no end."""
    try:
        async with WhileConnected(receive), aclosing(rest):
            async for piece in rest:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    except ClientDisconnect:
        return
    except GatewayError as error:
        log.warning("an answer is broken off: %s: %s", error.code, error.message)
        return
    await send({"type": "http.response.body", "body": b""})
