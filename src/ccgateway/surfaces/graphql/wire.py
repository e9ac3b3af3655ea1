"""GraphQL over HTTP: what comes in (bodies, parameters) and in which media type the answer goes out.

Follows the GraphQL-over-HTTP specification. The answer is ``application/graphql-response+json`` for those who ask for it by name;
then a request that is not executed has the HTTP status of its code. Everybody else gets ``application/json``, where the status of
a well-formed request is 200 whatever comes of it, as cc-backend's clients expect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from ccgateway.errors import Code
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.failures import Refusal
from ccgateway.surfaces.requests import LateBodyError, check_values, qualities, read_body

__all__ = [
    "GRAPHQL_JSON", "JSON", "Answer", "GraphQLRequest", "Head", "answer_type", "prefers_page", "read_get", "read_post",
    "refuse_other_origins",
]  # fmt: skip

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"

HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]

#: Whose pages must not ask, in the words of ``Sec-Fetch-Site``. "same-site" is any other port of this machine too. A GET needs
#: nobody's permission; a POST of JSON from there does, which the gateway never gives but a proxy in front of it may.
FOREIGN = {"GET": frozenset({"cross-site", "same-site"}), "POST": frozenset({"cross-site"})}

#: bytes of a body from which on it matters how room is made for them
LARGE = 1 << 18

#: characters of headers that are the same in every request of a caller: what was made of shorter ones is remembered
REMEMBERED = 512


class Head:
    """The method and the headers of a request, read once."""

    __slots__ = ("_headers", "method", "query")

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.query: bytes = scope["query_string"]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]

    def all(self, name: bytes) -> list[str]:
        """The values of a header, as often as it is there."""
        return [value.decode("latin-1") for key, value in self._headers if key == name]


class GraphQLRequest(msgspec.Struct, rename="camel", frozen=True):
    """One request. ``reads_only``: it came by a method that must change nothing; ``tells_ages``: its caller wants to know how old
    what it gets is (``{"extensions": {"cache": true}}``). ``persisted``: the hash of the text, which may be empty then."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    reads_only: bool = False
    tells_ages: bool = False
    persisted: str | None = None

    @property
    def digest(self) -> str:
        """What is the same for the same document with the same variables, also where its hash stands for its text."""
        text = self.persisted or sha256(self.query.encode()).hexdigest()
        known = msgspec.json.encode([text, self.operation_name, self.variables], order="deterministic")
        return sha256(known).hexdigest()


class _Body(msgspec.Struct, rename="camel"):
    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Body)
_ENCODER = msgspec.json.Encoder()


def refuse_other_origins(head: Head, allowed: frozenset[str]) -> None:
    """Raises ``Refusal`` (403) where the browser says that a page of another origin asks, unless it is one of ``allowed``."""
    origins = head.all(b"origin") if allowed else []
    if origins and ("*" in allowed or allowed.issuperset(origins)):
        return
    if FOREIGN.get(head.method, frozenset()).intersection(head.all(b"sec-fetch-site")):
        raise Refusal.because(Code.FORBIDDEN, "Pages of other origins cannot ask this gateway.")


async def read_post(head: Head, receive: Receive, limits: LimitSettings) -> GraphQLRequest:
    """The request of a POST. Raises ``Refusal``; stops reading when the body is larger or takes longer than ``limits`` allow."""
    _check_content_type(head)
    try:
        body = await read_body(receive, limits.body_bytes, limits.request_timeout)
        check_values(body, limits.body_values)
    except LateBodyError as late:
        raise Refusal.because(late.code, late.message, status=408) from None
    try:
        found = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        if body.lstrip()[:1] == b"[":
            raise _bad("Several requests in one body are not supported: send them one by one.") from None
        raise _bad(f"The body is not a GraphQL request: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _bad('The body is not JSON. Send {"query": "…", "variables": {…}}.') from None
    return _request(found, reads_only=False)


def read_get(head: Head) -> GraphQLRequest:
    """The request in the parameters of a GET. Raises ``Refusal``."""
    parameters = QueryParams(head.query)
    for name in ("query", "operationName", "variables", "extensions"):
        if len(parameters.getlist(name)) > 1:
            raise _bad(f"The parameter {name} is there more than once.")
    objects = {name: _object(name, parameters.get(name)) for name in ("variables", "extensions")}
    body = _Body(query=parameters.get("query"), operation_name=parameters.get("operationName"), **objects)
    return _request(body, reads_only=True)


def _object(name: str, text: str | None) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | None) if text else None
    except (msgspec.DecodeError, RecursionError):
        raise _bad(f"The parameter {name} is not a JSON object.") from None


def _request(body: _Body, *, reads_only: bool) -> GraphQLRequest:
    extensions = body.extensions or {}
    persisted = _persisted(extensions["persistedQuery"]) if extensions.get("persistedQuery") is not None else None
    query = body.query or ""
    if not query and persisted is None:
        raise _bad("There is no query in the request.")
    if query and persisted is not None and sha256(query.encode("utf-8", "replace")).hexdigest() != persisted:
        raise _bad("provided sha does not match query")
    return GraphQLRequest(
        query, body.operation_name or None, body.variables, reads_only, extensions.get("cache") is True, persisted
    )


def _persisted(given: object) -> str:
    """The hash in ``extensions.persistedQuery``."""
    if not isinstance(given, dict) or given.get("version") != 1:
        raise _bad("Unsupported persisted query version")
    digest = given.get("sha256Hash")
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise _bad("extensions.persistedQuery.sha256Hash is not a SHA-256 in hexadecimal digits.")
    return digest.lower()


def _bad(message: str) -> Refusal:
    return Refusal.because(Code.BAD_REQUEST, message)


def _check_content_type(head: Head) -> None:
    # Pages of other origins can send forms and plain text without asking first, but not JSON: this keeps them out.
    kinds = head.all(b"content-type")
    kind, _, parameters = (kinds[0] if len(kinds) == 1 else "").partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE) if parameters else None
    if kind.strip().lower() != JSON or (charset and charset[1].lower() not in ("utf-8", "utf8")):
        raise Refusal.because(Code.BAD_REQUEST, f"Send the request as Content-Type: {JSON}, in UTF-8.", status=415)
    if any(coding.strip().lower() != "identity" for coding in head.all(b"content-encoding")[:1]):
        raise Refusal.because(Code.BAD_REQUEST, "Send the body without Content-Encoding.", status=415)


def _answer_type(accepted: str) -> str | None:
    ranges = qualities(accepted) or {"*/*": 1.0}
    named = {kind: ranges[kind] for kind in (GRAPHQL_JSON, JSON) if ranges.get(kind)}
    if named:
        return max(named, key=lambda kind: named[kind])
    if not any(ranges.get(kind) for kind in ("application/*", "*/*")):
        return None
    # who names neither takes what cc-backend sends, unless that is ruled out by name
    return next((kind for kind in (JSON, GRAPHQL_JSON) if kind not in ranges), None)


_remembered_answer_type = lru_cache(maxsize=256)(_answer_type)


def answer_type(head: Head) -> str:
    """The media type of the answer. Raises ``Refusal`` (406) if the caller accepts none that there is."""
    accepted = ",".join(head.all(b"accept"))
    kind = (_remembered_answer_type if len(accepted) <= REMEMBERED else _answer_type)(accepted)
    if kind is None:
        raise Refusal.because(Code.BAD_REQUEST, f"The answer can be {JSON} or {GRAPHQL_JSON} only.", status=406)
    return kind


def prefers_page(head: Head) -> bool:
    """Whether the caller would rather have a web page, as browsers do."""
    accepted = qualities(",".join(head.all(b"accept")))
    quality = accepted.get(HTML, 0.0)
    return quality > 0 and all(accepted.get(kind, 0.0) < quality for kind in (JSON, GRAPHQL_JSON))


class Answer:
    """An ASGI response with ``content`` as JSON, which is encoded here and not held; without a body if that is ``None``.

    ``size``: bytes that the body has at least, where there is much of it. Room for them is made at once: a body that grows as it
    is written is copied again and again, and takes twice its size meanwhile.
    """

    def __init__(
        self,
        content: Mapping[str, Any] | None,
        kind: str,
        status: int = 200,
        headers: Mapping[bytes, bytes] | None = None,
        *,
        size: int = 0,
    ) -> None:
        self.status = status
        self.body = b"" if content is None else _encoded(content, size)
        self.headers = [(b"content-length", b"%d" % len(self.body)), *HEADERS, *(headers or {}).items()]
        if content is not None:
            self.headers.append((b"content-type", f"{kind}; charset=utf-8".encode()))

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def _encoded(content: Mapping[str, Any], size: int) -> bytes | bytearray:
    if size < LARGE:
        return _ENCODER.encode(content)
    body = bytearray(size + size // 8)
    _ENCODER.encode_into(content, body)
    return body
