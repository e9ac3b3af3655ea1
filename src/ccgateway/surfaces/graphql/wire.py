"""GraphQL over HTTP: what comes in (bodies, parameters) and in which media type the answer goes out.

Follows the GraphQL-over-HTTP specification. The answer is ``application/graphql-response+json`` for those who ask for it by name;
then a request that is not executed has the HTTP status of its code. Everybody else gets ``application/json``, where the status of
a well-formed request is 200 whatever comes of it, as cc-backend's clients expect.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ccgateway.errors import Code, RequestError
from ccgateway.surfaces.graphql.failures import Refusal

__all__ = [
    "GRAPHQL_JSON", "JSON", "NO_STORE", "GraphQLRequest", "answer_type", "json_response", "prefers_page", "read_get", "read_post",
    "refuse_other_origins",
]  # fmt: skip

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"

NO_STORE = {"Cache-Control": "no-store"}
HEADERS = {**NO_STORE, "X-Content-Type-Options": "nosniff"}

#: Whose pages must not ask, in the words of ``Sec-Fetch-Site``. "same-site" is any other port of this machine too. A GET needs
#: nobody's permission; a POST of JSON from there does, which the gateway never gives but a proxy in front of it may.
FOREIGN = {"GET": frozenset({"cross-site", "same-site"}), "POST": frozenset({"cross-site"})}


class GraphQLRequest(msgspec.Struct, rename="camel", frozen=True):
    """One request. ``reads_only``: it came by a method that must change nothing; ``tells_ages``: its caller wants to know how old
    what it gets is (``{"extensions": {"cache": true}}``)."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    reads_only: bool = False
    tells_ages: bool = False


class _Body(msgspec.Struct, rename="camel"):
    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Body)


def refuse_other_origins(request: Request) -> None:
    """Raises ``Refusal`` (403) where the browser says that a page of another origin asks."""
    if FOREIGN.get(request.method, frozenset()).intersection(request.headers.getlist("sec-fetch-site")):
        raise Refusal.because(Code.FORBIDDEN, "Pages of other origins cannot ask this gateway.")


async def read_post(request: Request, most_bytes: int, seconds: float) -> GraphQLRequest:
    """The request of a POST. Raises ``Refusal``; stops reading when the body is larger than ``most_bytes`` or takes longer."""
    _check_content_type(request)
    try:
        async with asyncio.timeout(seconds):
            body = await _read_body(request, most_bytes)
    except TimeoutError:
        raise Refusal.because(Code.BAD_REQUEST, f"The body did not come within {seconds:g} s.", status=408) from None
    try:
        found = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        if body.lstrip()[:1] == b"[":
            raise _bad("Several requests in one body are not supported: send them one by one.") from None
        raise _bad(f"The body is not a GraphQL request: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _bad('The body is not JSON. Send {"query": "…", "variables": {…}}.') from None
    return _request(found, reads_only=False)


def read_get(request: Request) -> GraphQLRequest:
    """The request in the parameters of a GET. Raises ``Refusal``."""
    parameters = request.query_params
    for name in ("query", "operationName", "variables", "extensions"):
        if len(parameters.getlist(name)) > 1:
            raise _bad(f"The parameter {name} is there more than once.")
    objects = {name: _object(name, parameters.get(name)) for name in ("variables", "extensions")}
    body = _Body(query=parameters.get("query"), operation_name=parameters.get("operationName") or None, **objects)
    return _request(body, reads_only=True)


def _object(name: str, text: str | None) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | None) if text else None
    except (msgspec.DecodeError, RecursionError):
        raise _bad(f"The parameter {name} is not a JSON object.") from None


def _request(body: _Body, *, reads_only: bool) -> GraphQLRequest:
    if not body.query:
        raise _bad("There is no query in the request.")
    tells_ages = (body.extensions or {}).get("cache") is True
    return GraphQLRequest(body.query, body.operation_name, body.variables, reads_only, tells_ages)


def _bad(message: str) -> Refusal:
    return Refusal.because(Code.BAD_REQUEST, message)


def _check_content_type(request: Request) -> None:
    # Pages of other origins can send forms and plain text without asking first, but not JSON: this keeps them out.
    kinds = request.headers.getlist("content-type")
    kind, _, parameters = (kinds[0] if len(kinds) == 1 else "").partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    if kind.strip().lower() != JSON or (charset and charset[1].lower() not in ("utf-8", "utf8")):
        raise Refusal.because(Code.BAD_REQUEST, f"Send the request as Content-Type: {JSON}, in UTF-8.", status=415)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal.because(Code.BAD_REQUEST, "Send the body without Content-Encoding.", status=415)


async def _read_body(request: Request, most_bytes: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise Refusal.of(RequestError(Code.BODY_TOO_LARGE, f"The body is larger than {most_bytes} bytes."))
        chunks.append(chunk)
    return b"".join(chunks)


def _preferences(request: Request) -> Mapping[str, float]:
    """The media ranges that the caller accepts, and how much: 0 to 1."""
    found: dict[str, float] = {}
    for part in ",".join(request.headers.getlist("accept")).split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        if kind:
            found[kind] = float(quality) if re.fullmatch(r"[01](\.\d{0,3})?", quality) else 0.0
    return found or {"*/*": 1.0}


def answer_type(request: Request) -> str:
    """The media type of the answer. Raises ``Refusal`` (406) if the caller accepts none that there is."""
    accepted = _preferences(request)
    named = {kind: accepted[kind] for kind in (GRAPHQL_JSON, JSON) if accepted.get(kind)}
    if named:
        return max(named, key=lambda kind: named[kind])
    # who names neither takes what cc-backend sends, unless that is ruled out by name
    if JSON not in accepted and any(accepted.get(kind) for kind in ("application/*", "*/*")):
        return JSON
    raise Refusal.because(Code.BAD_REQUEST, f"The answer can be {JSON} or {GRAPHQL_JSON} only.", status=406)


def prefers_page(request: Request) -> bool:
    """Whether the caller would rather have a web page, as browsers do."""
    accepted = _preferences(request)
    quality = accepted.get(HTML, 0.0)
    return quality > 0 and all(accepted.get(kind, 0.0) < quality for kind in (JSON, GRAPHQL_JSON))


def json_response(content: dict[str, Any], kind: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with ``content`` as JSON."""
    body = msgspec.json.encode(content)
    return Response(body, status, {**HEADERS, **(headers or {})}, media_type=f"{kind}; charset=utf-8")
