"""OpenAPI 3.1 of the faces, written from their tables and from the types of their answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias, cast

import msgspec

from ccgateway import __version__
from ccgateway.errors import CODES
from ccgateway.surfaces.rest.calls import JSON, TEXT
from ccgateway.surfaces.rest.endpoints import FAILURES, Endpoint, Operation, Parameter, Schema, Table
from ccgateway.surfaces.rest.forms import FORMS
from ccgateway.surfaces.rest.listing import COMPLETE
from ccgateway.surfaces.rest.operations import API, RELEASED_API, RELEASED_USERAPI, USERAPI

__all__ = ["RELEASED", "documented_openapi", "released_openapi"]

#: where cc-backend 1.5.4's own interface begins
RELEASED = "/cc-backend/1.5"

Document: TypeAlias = dict[str, Any]

_ID: Schema = {"type": "integer", "format": "int64", "minimum": 0}
_IN_PATH: Mapping[str, tuple[Schema, str]] = {
    "id": (_ID, "Job id: the site's own database id times 1000, plus the site's number."),
    "ts": ({"type": "integer", "minimum": 0, "maximum": 99_999_999_999}, "Epoch seconds."),
}
_RETRY_AFTER = "Retry-After"
_HEADERS: Document = {
    COMPLETE: {"description": "Whether nothing of any site is missing.", "schema": {"type": "string", "enum": ["true", "false"]}},
    "Link": {"description": "Where lists go on: `rel=next`, with a cursor.", "schema": {"type": "string"}},
    "ETag": {"description": "Of jobs that have ended and are archived.", "schema": {"type": "string"}},
    _RETRY_AFTER: {"description": "Seconds until another try may do better.", "schema": {"type": "integer", "minimum": 0}},
}
#: statuses with which it may come
_LATER = (429, 503)
_PARQUET = "application/vnd.apache.parquet"
_SHOWS = """The jobs of many ClusterCockpit sites at once. Ids are integers over all sites: the site's own database id times 1000,
plus the site's number. Lists and metrics of several sites say whether a site is missing in the header `X-CCGateway-Complete`."""


def documented_openapi(beside: Mapping[str, Table]) -> Document:
    """Of ``/api`` and ``/userapi``, and of the tables ``beside`` them, by their paths."""
    codes = ", ".join(f"`{code}` ({row.http})" for code, row in CODES.items())
    text = f"""{_SHOWS} Paths, parameters and answers are those of ClusterCockpit's how-to page; parameters and bodies of
cc-backend 1.2 to 1.5 are taken as well. A failure has a `code`: {codes}."""
    return _document("ccgateway", text, {"/api": API, "/userapi": USERAPI, **beside})


def released_openapi() -> Document:
    """Of ``/cc-backend/1.5``."""
    text = f"{_SHOWS} Everything else is as cc-backend 1.5.4 has it, whichever releases the sites run."
    tables = {f"{RELEASED}/api": RELEASED_API, f"{RELEASED}/userapi": RELEASED_USERAPI}
    return _document("ccgateway as cc-backend 1.5", text, tables)


def _document(title: str, description: str, tables: Mapping[str, Table]) -> Document:
    schemas = _Schemas(operation for table in tables.values() for operation in _operations(table))
    paths: Document = {}
    for base, table in tables.items():
        own = base.endswith("/userapi")
        for endpoint in table.endpoints:
            paths[base + endpoint.path] = {
                method.lower(): _operation(one, endpoint, schemas, own=own) for method, one in endpoint.operations.items()
            }
    document: Document = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": " ".join(description.split())},
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": schemas.responses,
            "headers": _HEADERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            },
        },
        "security": [{"bearer": []}, {"token": []}, {}],
    }
    return cast("Document", _widened(document))


def _operations(table: Table) -> Iterable[Operation]:
    return (operation for endpoint in table.endpoints for operation in endpoint.operations.values())


class _Schemas:
    """The schema of every type that answers have."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        kinds: list[Any] = []
        for operation in operations:
            for kind in _single((*operation.answers.values(), operation.failure)):
                if kind not in (None, str) and kind not in kinds:
                    kinds.append(kind)
        found, self.components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
        self.responses: Document = {}
        self._of = list(zip(kinds, found, strict=True))
        for schema in self.components.values():
            _tidy(schema)

    def of(self, kind: Any) -> Document:
        """The schema of ``kind``; of one of them, if there are several."""
        if isinstance(kind, tuple):
            return {"anyOf": [self.of(one) for one in kind]}
        return next(schema for known, schema in self._of if known == kind)

    def failure(self, status: int, kind: Any) -> Document:
        """A response that says what went wrong."""
        names = [one.__name__ for one in _single((kind,))]
        name = f"{'Or'.join(names)}{status}"
        self.responses[name] = {"description": HTTPStatus(status).phrase, "content": {JSON: {"schema": self.of(kind)}}}
        if status in _LATER:
            self.responses[name]["headers"] = _headers([_RETRY_AFTER])
        return {"$ref": f"#/components/responses/{name}"}


def _single(kinds: Iterable[Any]) -> Iterable[Any]:
    for kind in kinds:
        yield from kind if isinstance(kind, tuple) else (kind,)


def _tidy(schema: Document) -> None:
    """Docstrings become running text, and defaults go: they say what is left out, not what is meant then."""
    if isinstance(words := schema.get("description"), str):
        schema["description"] = re.sub(r"``", "`", " ".join(words.split()))
    for one in schema.get("properties", {}).values():
        one.pop("default", None)


def _operation(operation: Operation, endpoint: Endpoint, schemas: _Schemas, *, own: bool) -> Document:
    in_path = [_in_path(name) for name in re.findall(r"\{(\w+)\}", endpoint.path)]
    found: Document = {
        "operationId": operation.name + ("OfUser" if own else ""),
        "tags": ["own jobs" if own else endpoint.path.strip("/").partition("/")[0]],
        "summary": operation.summary,
        "parameters": [*in_path, *map(_parameter, operation.parameters)],
        "responses": {str(status): _response(status, kind, schemas, operation) for status, kind in operation.answers.items()},
    }
    if operation.description:
        found["description"] = operation.description
    content = {JSON: operation.body} if operation.body is not None else dict.fromkeys(FORMS, operation.form)
    if any(schema is not None for schema in content.values()):
        found["requestBody"] = {"required": True, "content": {kind: {"schema": schema} for kind, schema in content.items()}}
    found["responses"] |= {str(status): schemas.failure(status, operation.failure) for status in FAILURES}
    return found


def _in_path(name: str) -> Document:
    schema, description = _IN_PATH[name]
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _parameter(one: Parameter) -> Document:
    schema = {"type": "array", "items": one.schema} if one.repeats else one.schema
    shown: Document = {"name": one.name, "in": "query", "description": one.description, "schema": schema}
    return shown | ({"required": True} if one.required else {}) | ({"explode": True} if one.repeats else {})


def _response(status: int, kind: Any, schemas: _Schemas, operation: Operation) -> Document:
    found: Document = {"description": HTTPStatus(status).phrase}
    sent = {
        COMPLETE: operation.reports,
        "Link": any(one.name == "cursor" for one in operation.parameters),
        "ETag": 304 in operation.answers,
    }
    if any(sent.values()):
        found["headers"] = _headers(name for name, is_sent in sent.items() if is_sent)
    if kind is str:
        return found | {"content": {name: _text(name) for name in operation.streams or [TEXT.partition(";")[0]]}}
    return found if kind is None else found | {"content": {JSON: {"schema": schemas.of(kind)}}}


def _headers(names: Iterable[str]) -> Document:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _text(name: str) -> Document:
    """What is no JSON; bytes that are no text have no type."""
    return {} if name == _PARQUET else {"schema": {"type": "string"}}


def _widened(schema: Any) -> Any:
    """With the size of each integer: without a word, code that is generated takes them for 32 bits."""
    if isinstance(schema, list):
        return [_widened(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {name: _widened(one) for name, one in schema.items()}
    return {"format": "int64"} | found if found.get("type") == "integer" else found
