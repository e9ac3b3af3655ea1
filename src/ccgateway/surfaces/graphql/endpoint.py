"""The routes of ``/graphql``: requests in, responses out, and the one place where what nobody foresaw is caught."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ccgateway.errors import GatewayError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.writes import WriteCall
from ccgateway.identity.principal import Principal
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.execution import Executions
from ccgateway.surfaces.graphql.failures import Refusal, internal_entry
from ccgateway.surfaces.graphql.graphiql import graphiql_page, graphiql_static
from ccgateway.surfaces.graphql.schema import core_schema
from ccgateway.surfaces.graphql.wire import (
    JSON,
    NO_STORE,
    answer_type,
    json_response,
    prefers_page,
    read_get,
    read_post,
    refuse_other_origins,
)  # fmt: skip

__all__ = ["PATH", "graphql_routes"]

PATH = "/graphql"
METHODS = "GET, POST"
CLOSE = {"Connection": "close"}

T = TypeVar("T")
log = logging.getLogger(__name__)


def graphql_routes(
    gateway: Gateway, caller_of: Callable[[Request], Principal], limits: LimitSettings, *, graphiql: bool
) -> list[Route]:
    """The routes: ``/graphql``, and with ``graphiql`` the page for browsers and its files.

    ``caller_of`` says who asks; a ``GatewayError`` that it raises is the answer, with the HTTP status of its code.
    """
    endpoint = _Endpoint(gateway, caller_of, limits, graphiql=graphiql)
    routes = [Route(PATH, endpoint.answer, methods=["GET", "POST"], name="graphql")]
    if graphiql:
        routes.append(Route(PATH + "/static/{name}", graphiql_static, methods=["GET"], name="graphiql_static"))
    return routes


class _Endpoint:
    def __init__(
        self, gateway: Gateway, caller_of: Callable[[Request], Principal], limits: LimitSettings, *, graphiql: bool
    ) -> None:
        self._gateway, self._caller_of, self._limits, self._graphiql = gateway, caller_of, limits, graphiql
        schema = core_schema()
        self._executions = Executions(schema, Documents(schema, limits))

    async def answer(self, request: Request) -> Response:
        request_id = secrets.token_hex(6)
        kind = JSON
        try:
            if request.method == "GET" and self._graphiql and prefers_page(request):
                return graphiql_page()
            kind = answer_type(request)
            return await self._answer(request, kind, request_id)
        except ClientDisconnect:
            return _nobody_is_there()
        except Refusal as refusal:
            return _refused(refusal, kind)
        except GatewayError as error:
            return _refused(Refusal.of(error), kind)
        except Exception as error:  # noqa: BLE001 - the boundary: logged with its traceback, answered without
            return json_response({"errors": [internal_entry(error, request_id)]}, kind, 500)

    async def _answer(self, request: Request, kind: str, request_id: str) -> Response:
        refuse_other_origins(request)
        match request.method:
            case "POST":
                question = await read_post(request, self._limits.body_bytes, self._limits.request_timeout)
            case "GET":
                question = read_get(request)
            case _:  # HEAD, which comes with GET
                return Response(status_code=405, headers={**NO_STORE, "Allow": METHODS})
        call = WriteCall(request_id, request.headers.get("Idempotency-Key"))
        context = RequestContext(self._gateway, self._caller_of(request), self._limits, call)
        try:
            content = await _while_connected(request, self._executions.run(question, context, request_id))
        except Refusal as refusal:
            # the request was well-formed: application/json knows no status for what is wrong with the document in it
            return _refused(refusal, kind, status=200 if kind == JSON and refusal.status != 405 else refusal.status)
        return json_response(content, kind)


def _refused(refusal: Refusal, kind: str, *, status: int | None = None) -> Response:
    status = refusal.status if status is None else status
    headers = {408: CLOSE, 413: CLOSE, 405: {"Allow": METHODS}}.get(status, {})
    return json_response({"errors": refusal.entries}, kind, status, headers)


def _nobody_is_there() -> Response:
    return Response(status_code=499)


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` comes to; it is cancelled, and ``ClientDisconnect`` raised, when the caller goes away before."""
    running = asyncio.create_task(work)
    leaving = asyncio.create_task(_departure(request))
    try:
        await asyncio.wait((running, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            log.info("the caller went away: its request is cancelled")
            raise ClientDisconnect
        return running.result()
    finally:
        for task in (running, leaving):
            task.cancel()
        await asyncio.gather(running, leaving, return_exceptions=True)


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
