"""The files under ``schema/``: what the gateway publishes of its interfaces, and whether they are up to date."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path

from ccgateway.surfaces.graphql.schema import sdl
from ccgateway.surfaces.rest.openapi import documented_openapi, released_openapi

__all__ = ["drift", "published", "write"]


def published() -> Mapping[str, str]:
    """Name → text of every file."""
    return {
        "ccgateway.graphql": sdl(),
        "openapi.json": _pretty(documented_openapi()),
        "openapi-cc-backend-1.5.json": _pretty(released_openapi()),
    }


def _pretty(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path) -> list[Path]:
    """Writes the files that differ and returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in published().items():
        path = folder / name
        if _read(path) != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def drift(folder: Path) -> str:
    """How the files differ from what the code says, as a unified diff; empty if they do not."""
    return "".join(
        line
        for name, text in published().items()
        for line in difflib.unified_diff(
            _read(folder / name).splitlines(keepends=True), text.splitlines(keepends=True), str(folder / name), "ccgateway schema"
        )
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
