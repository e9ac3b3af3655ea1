"""What an instance says itself: plain requests with the standard library, nothing of the gateway in between."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from itertools import count
from typing import Any

from live.farm import Site

__all__ = ["call", "clusters", "listed", "query", "single", "users"]

PAGE = 200
#: readings of a list that keeps changing
ATTEMPTS = 5


def call(site: Site, method: str, path: str, body: Any = None, *, user: str = "demo") -> tuple[int, Any]:
    """Status and body (decoded if it is JSON, else its text)."""
    headers = {"X-Auth-Token": site.tokens[user], "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(site.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def read(site: Site, path: str, *, user: str = "demo") -> Any:
    """The decoded body of a GET that must succeed."""
    status, found = call(site, "GET", path, user=user)
    assert status == 200, f"{site.name}{path}: {status} {found}"
    return found


def listed(site: Site, user: str = "demo") -> list[dict[str, Any]]:
    """Every job that the instance lists to ``user``, page by page by number, as it writes them.

    A 1.5 commits started jobs from time to time, which moves the pages: then they are read again.
    """
    for _ in range(ATTEMPTS):
        rows = _pages(site, user)
        if len({row["id"] for row in rows}) == len(rows):
            return rows
    raise AssertionError("the instance changed whenever it was read")


def _pages(site: Site, user: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for page in count(1):
        found = read(site, f"{site.root(user)}/jobs/?items-per-page={PAGE}&page={page}&with-metadata=true", user=user)["jobs"]
        rows += found
        if len(found) < PAGE:
            break
    return rows


def single(site: Site, db_id: int, user: str = "demo") -> dict[str, Any]:
    """One job by its database id (``Meta``); needs 1.3."""
    found: dict[str, Any] = read(site, f"{site.root(user)}/jobs/{db_id}", user=user)["Meta"]
    return found


def query(site: Site, document: str, variables: dict[str, Any] | None = None, *, user: str = "demo") -> Any:
    """What the instance's own GraphQL answers; no error may be in it."""
    status, found = call(site, "POST", "/query", {"query": document, "variables": variables or {}}, user=user)
    assert status == 200 and not found.get("errors"), f"{site.name}: {status} {found}"
    return found["data"]


def clusters(site: Site) -> list[dict[str, Any]]:
    """The clusters by REST; needs 1.3."""
    found: list[dict[str, Any]] = read(site, "/api/clusters/")["clusters"]
    return found


def users(site: Site) -> list[dict[str, Any]]:
    """The user table."""
    found: list[dict[str, Any]] = read(site, "/api/users/")
    return found
