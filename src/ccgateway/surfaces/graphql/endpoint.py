"""The routes of ``/graphql``: requests in, responses out, and the one place where what nobody foresaw is caught."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ccgateway.errors import Code, GatewayError, RequestError, forget_frames
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.gateway import Gateway
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.callers import CHALLENGE, CallerOf
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.execution import Executions
from ccgateway.surfaces.graphql.failures import Refusal, internal_entry
from ccgateway.surfaces.graphql.graphiql import GRAPHIQL
from ccgateway.surfaces.graphql.schema import core_schema
from ccgateway.surfaces.graphql.wire import (
    JSON,
    Answer,
    Head,
    answer_type,
    prefers_page,
    read_get,
    read_post,
    refuse_other_origins,
)  # fmt: skip
from ccgateway.surfaces.graphql.written_lists import WrittenLists
from ccgateway.surfaces.origins import shared_with
from ccgateway.surfaces.presence import WhileConnected
from ccgateway.surfaces.requests import begin_request, idempotency_key_among
from ccgateway.surfaces.rest.openapi import RELEASED
from ccgateway.telemetry.requests import Surface, note_caller, note_error
from ccgateway.traffic.admission import Sending, Traffic
from ccgateway.traffic.scopes import give_way

__all__ = ["PATH", "graphql_routes"]

PATH = "/graphql"
#: where clients of cc-backend ask, which has no page there and answers ``POST`` only
QUERY_PATHS = ("/query", f"{RELEASED}/query")
METHODS = b"GET, HEAD, POST"
CLOSE = {b"connection": b"close"}


def graphql_routes(
    gateway: Gateway,
    caller_of: CallerOf,
    limits: LimitSettings,
    *,
    graphiql: bool,
    origins: Sequence[str] = (),
    traffic: Traffic | None = None,
) -> list[Route]:
    """The routes: ``/graphql`` and its aliases, and with ``graphiql`` the page for browsers and its files.

    ``caller_of`` says who asks; a ``GatewayError`` that it raises is the answer, with the HTTP status of its code. ``origins``:
    whose pages may ask.
    """
    allowed = frozenset(origins)
    endpoint = _Endpoint(gateway, caller_of, limits, traffic or Traffic(limits), graphiql=graphiql, origins=allowed)
    asked_first = ["OPTIONS"] if origins else []
    face = shared_with(endpoint, origins)
    routes = [Route(PATH, face, methods=["GET", "POST", *asked_first], name="graphql")]
    routes += [Route(path, face, methods=["POST", *asked_first]) for path in QUERY_PATHS]
    if graphiql:
        routes.append(Route(PATH + "/static/{name}", GRAPHIQL.file, methods=["GET"], name="graphiql_static"))
    return routes


class _Endpoint:
    """An ASGI application of its own: a request costs no more than it must."""

    def __init__(
        self,
        gateway: Gateway,
        caller_of: CallerOf,
        limits: LimitSettings,
        traffic: Traffic,
        *,
        graphiql: bool,
        origins: frozenset[str],
    ) -> None:
        self._gateway, self._caller_of, self._limits, self._graphiql = gateway, caller_of, limits, graphiql
        self._origins = origins
        self._traffic = traffic
        schema = core_schema()
        self._written_lists = WrittenLists()
        self._executions = Executions(schema, Documents(schema, limits))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # what the answer was made of is let go of before it is sent: a slow reader holds its body and no more
        with self._traffic.sending() as sending:
            answer = await self._answer(scope, receive, sending)
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, sending: Sending) -> ASGIApp:
        head, kind, request_id = Head(scope), JSON, begin_request(Surface.GRAPHQL)
        try:
            if head.method in ("GET", "HEAD") and self._graphiql and prefers_page(head):
                return GRAPHIQL.response()
            kind = answer_type(head)
            return await self._asked(head, kind, request_id, scope, receive, sending)
        except ClientDisconnect:
            return Answer(None, kind, 499)  # nobody is there to read it
        except Refusal as refusal:
            forget_frames(refusal)
            return _refused(refusal, kind)
        except GatewayError as error:
            forget_frames(error)
            return _refused(Refusal.of(error), kind)
        except Exception as error:  # noqa: BLE001 - the boundary: logged with its traceback, answered without
            return Answer({"errors": [internal_entry(error, request_id)]}, kind, 500)

    async def _asked(  # noqa: PLR0917 - what belongs to one request
        self, head: Head, kind: str, request_id: str, scope: Scope, receive: Receive, sending: Sending
    ) -> ASGIApp:
        refuse_other_origins(head, self._origins)
        caller = await self._caller_of(Request(scope))
        note_caller(caller.subject)
        match head.method:
            case "POST":
                question = await read_post(head, receive, self._limits)
            case "GET" | "HEAD":
                question = read_get(head)
            case _:  # OPTIONS of those who are not asked for by a browser
                return Answer(None, kind, 405, {b"allow": METHODS})
        key = idempotency_key_among(head.all(b"idempotency-key"))
        call = WriteCall(request_id, key, document="" if key is None else question.digest)
        context = RequestContext(self._gateway, caller, self._limits, call, self._written_lists)
        try:
            async with WhileConnected(receive), self._traffic.admitted(caller.share, sending):
                content = await self._executions.run(question, context, request_id)
                await give_way()
                if sending.refusal is not None:
                    raise sending.refusal
                sending.hold(context.bytes_written)
            answer = Answer(content, kind, size=context.bytes_written)
            del content
            sending.settle(len(answer.body))
        except RequestError as error:
            if error.code not in (Code.RATE_LIMITED, Code.LIMIT_EXCEEDED):
                raise
            forget_frames(error)
            return _refused(Refusal.of(error), kind, status=200 if kind == JSON else None)
        except Refusal as refusal:
            # the request was well-formed: application/json knows no status for what is wrong with the document in it
            return _refused(refusal, kind, status=200 if kind == JSON and refusal.status != 405 else refusal.status)
        return answer


def _refused(refusal: Refusal, kind: str, *, status: int | None = None) -> Answer:
    note_error(refusal.code)
    status = refusal.status if status is None else status
    headers: dict[bytes, bytes] = {401: CHALLENGE, 408: CLOSE, 413: CLOSE, 405: {b"allow": METHODS}}.get(status, {})
    if refusal.retry_after is not None:
        headers = {**headers, b"retry-after": b"%d" % refusal.retry_after}
    return Answer({"errors": refusal.entries}, kind, status, headers)
