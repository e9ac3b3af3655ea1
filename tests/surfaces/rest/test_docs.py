"""OpenAPI documents and the page about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from ccgateway import __version__
from ccgateway.surfaces.export.operations import export_table
from ccgateway.surfaces.rest.endpoints import Table
from ccgateway.surfaces.rest.openapi import documented_openapi, released_openapi
from ccgateway.surfaces.rest.operations import API, RELEASED_API, RELEASED_USERAPI, USERAPI
from surfaces.rest.asking import RestGateway, client_of

DOCUMENTS = {"documented": documented_openapi({"/export": export_table()}), "released": released_openapi()}
TABLES: dict[str, dict[str, Table]] = {
    "documented": {"/api": API, "/userapi": USERAPI, "/export": export_table()},
    "released": {"/cc-backend/1.5/api": RELEASED_API, "/cc-backend/1.5/userapi": RELEASED_USERAPI},
}
#: what the how-to page lists
HOWTO = {
    ("/api/users/", "GET"), ("/api/clusters/", "GET"), ("/api/tags/", "DELETE"), ("/api/jobs/start_job/", "POST"),
    ("/api/jobs/start_job/", "PUT"), ("/api/jobs/stop_job/", "POST"), ("/api/jobs/stop_job/", "PUT"),
    ("/api/jobs/", "GET"), ("/api/jobs/{id}", "POST"), ("/api/jobs/{id}", "GET"), ("/api/jobs/tag_job/{id}", "POST"),
    ("/api/jobs/tag_job/{id}", "PATCH"), ("/api/jobs/tag_job/{id}", "DELETE"), ("/api/jobs/edit_meta/{id}", "POST"),
    ("/api/jobs/edit_meta/{id}", "PATCH"), ("/api/jobs/metrics/{id}", "GET"), ("/api/jobs/delete_job/", "DELETE"),
    ("/api/jobs/delete_job/{id}", "DELETE"), ("/api/jobs/delete_job_before/{ts}", "DELETE"),
    ("/userapi/jobs/", "GET"), ("/userapi/jobs/{id}", "POST"), ("/userapi/jobs/{id}", "GET"),
    ("/userapi/jobs/metrics/{id}", "GET"), ("/api/jobs/stop_job/{id}", "POST"),  # the last in its example only
}  # fmt: skip


def operations(document: Any) -> set[tuple[str, str]]:
    return {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [ref for key, one in value.items() for ref in ([one] if key == "$ref" else references(one))]
    return [ref for one in value for ref in references(one)] if isinstance(value, list) else []


def test_everything_that_the_how_to_page_lists_is_there() -> None:
    assert operations(DOCUMENTS["documented"]) >= HOWTO


@pytest.mark.parametrize("face", DOCUMENTS)
def test_a_document_holds_exactly_what_is_served(face: str) -> None:
    served = {
        (base + endpoint.path, method)
        for base, table in TABLES[face].items()
        for endpoint in table.endpoints
        for method in endpoint.operations
    }
    assert operations(DOCUMENTS[face]) == served


@pytest.mark.parametrize("face", DOCUMENTS)
def test_references_lead_somewhere_and_operations_have_names_of_their_own(face: str) -> None:
    document = DOCUMENTS[face]
    for reference in references(document):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    names = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names))
    assert document["openapi"].startswith("3.1") and document["info"]["version"] == __version__


def schemas_in(document: Any) -> Iterator[dict[str, Any]]:
    """Everything in it that says what type it is."""
    if isinstance(document, dict):
        if isinstance(document.get("type"), str):
            yield document
        for one in document.values():
            yield from schemas_in(one)
    elif isinstance(document, list):
        for one in document:
            yield from schemas_in(one)


@pytest.mark.parametrize("face", DOCUMENTS)
def test_what_generators_make_of_a_document_holds_what_is_sent(face: str) -> None:
    document = DOCUMENTS[face]
    # without a size they take integers for 32 bits, and ids do not fit
    assert {one.get("format") for one in schemas_in(document) if one["type"] == "integer"} <= {"int32", "int64"}
    for methods in document["paths"].values():
        for method, one in methods.items():
            names = [re.sub(r"[^a-z0-9]", "", parameter["name"].lower()) for parameter in one["parameters"]]
            assert len(names) == len(set(names)), (one["operationId"], names)
            answers = one["responses"]
            for status in ("429", "503"):
                response = document["components"]["responses"][answers[status]["$ref"].rsplit("/", 1)[1]]
                assert "Retry-After" in response["headers"]
            sent = set(answers.get("200", {}).get("headers", {}))
            assert ("ETag" in sent) == ("304" in answers) and ("Link" in sent) == ("cursor" in names)
            assert method in ("get", "post") or "X-CCGateway-Complete" not in sent
            kinds = answers.get("200", {}).get("content", {})
            assert kinds.get("application/vnd.apache.parquet", {}) == {}


def test_a_job_alone_has_its_metrics_in_one_shape_by_each_method() -> None:
    for face, shapes in (("documented", ({"object"}, {"array"})), ("released", ({"object"}, {"array"}))):
        components = DOCUMENTS[face]["components"]["schemas"]
        for name, shape in zip(("Single", "SingleWith"), shapes, strict=True):
            data = components[name]["properties"]["Data"]
            assert {one["type"] for one in data["anyOf"]} == shape | {"null"}


@pytest.mark.parametrize("path", ["/api/openapi.json", "/cc-backend/1.5/api/openapi.json"])
async def test_a_document_is_served(path: str) -> None:
    async with client_of(RestGateway()) as client:
        answer = await client.get(path)
    assert answer.json() == DOCUMENTS["released" if "1.5" in path else "documented"]


async def test_the_page_loads_nothing_from_elsewhere() -> None:
    async with client_of(RestGateway()) as client:
        page = await client.get("/api/docs")
        assert page.status_code == 200 and "://" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        names = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
        assert len(names) == 4
        for name in names:
            assert name.endswith(f"?v={__version__}")
            assert (await client.get(f"/api/{name}")).status_code == 200
        assert (await client.get("/api/docs/LICENSES.txt")).text.startswith("Swagger UI")
        assert (await client.get("/api/docs/../docs.py")).status_code == 404
        assert (await client.get("/api/docs/nothing.js")).status_code == 404
