"""Nobody is redirected: a path leads to the same with and without a slash at its end."""

from __future__ import annotations

import re

import httpx
import pytest
from starlette.routing import Mount, Route

from ccgateway.app import create_app
from ccgateway.settings import load_settings
from ccgateway.surfaces.rest.openapi import RELEASED
from ccgateway.surfaces.rest.operations import API, RELEASED_API, RELEASED_USERAPI, USERAPI
from surfaces.apps import client_of

FACES = {"/api": API, "/userapi": USERAPI, f"{RELEASED}/api": RELEASED_API, f"{RELEASED}/userapi": RELEASED_USERAPI}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def paths() -> list[str]:
    """Every path that the application knows."""
    routes = create_app(load_settings(None)).routes
    found = [route.path for route in routes if isinstance(route, Route | Mount)]
    found += [base + endpoint.path for base, table in FACES.items() for endpoint in table.endpoints]
    return sorted({re.sub(r"\{\w+(:path)?\}", "1", path).rstrip("/") for path in found})


def allowed(answer: httpx.Response) -> set[str]:
    return set(answer.headers.get("allow", "").split(", "))


@pytest.mark.parametrize("path", [path for path in paths() if path == RELEASED or not path.startswith(f"{RELEASED}/")])
async def test_both_spellings_of_a_path_answer_alike_and_redirect_nobody(path: str) -> None:
    async with client_of(create_app(load_settings(None))) as client:
        for method in METHODS:
            plain, slashed = [
                await client.request(method, spelling, content=b"{}", headers={"Content-Type": "application/json"})
                for spelling in (path, f"{path}/")
            ]
            assert plain.status_code == slashed.status_code
            for answer in (plain, slashed):
                if path == "" and method in ("GET", "HEAD"):  # a browser, which is led to the portal on the same server
                    assert re.fullmatch(r"/\w+", answer.headers["location"])
                    continue
                assert not 300 <= answer.status_code < 400 and "location" not in answer.headers
            assert allowed(plain) == allowed(slashed)


@pytest.mark.parametrize("path", [path for path in paths() if path.startswith(f"{RELEASED}/")])
async def test_cc_backends_own_paths_are_exact_and_redirect_nobody(path: str) -> None:
    async with client_of(create_app(load_settings(None))) as client:
        for method in METHODS:
            for spelling in (path, f"{path}/"):
                answer = await client.request(method, spelling, content=b"{}", headers={"Content-Type": "application/json"})
                assert not 300 <= answer.status_code < 400 and "location" not in answer.headers


@pytest.mark.parametrize("path", ["/graphql//", "//graphql", "/api//jobs/", "/nowhere", "/nowhere/", "//evil.example.org/"])
async def test_other_spellings_redirect_nobody_either(path: str) -> None:
    async with client_of(create_app(load_settings(None))) as client:
        answer = await client.request("POST", f"http://localhost{path}", content=b"{}")
        assert answer.status_code in (400, 404, 405) and "location" not in answer.headers
