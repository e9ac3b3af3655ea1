"""What the gateway publishes of itself, made from the code: the files under ``schema/`` and the tables of the documents; and the
Python that is made of the ``.proto`` files there."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ccgateway.errors import CODES
from ccgateway.operations.protos import generated
from ccgateway.settings import Settings
from ccgateway.surfaces.export.operations import export_table
from ccgateway.surfaces.graphql.schema import sdl
from ccgateway.surfaces.rest.openapi import documented_openapi, released_openapi
from ccgateway.telemetry.catalogue import METRICS

__all__ = ["drift", "write"]


def _published(project: Path) -> Mapping[str, str]:
    """Path within the ``project`` → text of every file. Of the documents, only what stands between the marks is made."""
    return {
        "schema/ccgateway.graphql": sdl(),
        "schema/openapi.json": _pretty(documented_openapi({"/export": export_table()})),
        "schema/openapi-cc-backend-1.5.json": _pretty(released_openapi()),
        **{path: _filled(_read(project / path), table) for path, table in _tables().items()},
        **generated(project),
    }


def _pretty(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


# --- tables


def _tables() -> Mapping[str, str]:
    return {
        "docs/use/errors.md": "\n".join(_codes()),
        "docs/operate/settings.md": "\n".join(_settings()),
        "docs/operate/metrics.md": "\n".join(_metrics()),
    }


def _filled(document: str, table: str) -> str:
    return re.sub(
        r"(?<=<!-- made by ccgateway schema -->\n).*?(?=<!-- end -->)", lambda _: f"\n{table}\n\n", document, flags=re.DOTALL
    )


def _codes() -> Iterator[str]:
    yield "| code | HTTP | gRPC | again? | means |\n|---|---|---|---|---|"
    for code, row in CODES.items():
        yield f"| `{code}` | {row.http} | {row.grpc} | {'yes' if row.retryable else 'no'} | {row.meaning} |"


def _settings() -> Iterator[str]:
    yield "| key | default | |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        model, section = _section(name, field)
        yield from _keys(model, section, without=() if section == name else ("name",))  # the name of a section is its key


def _keys(model: type[BaseModel], section: str, *, without: Collection[str] = ()) -> Iterator[str]:
    for key, setting in model.model_fields.items():
        if isinstance(setting.annotation, type) and issubclass(setting.annotation, BaseModel):
            yield from _keys(setting.annotation, f"{section}.{key}")
        elif key not in without:
            yield f"| `{section}.{key}` | {_default(setting)} | {setting.description} |"


def _metrics() -> Iterator[str]:
    yield "| metric | type | labels | meaning |\n|---|---|---|---|"
    for metric in METRICS:
        yield f"| `{metric.name}` | {metric.kind.value} | {', '.join(f'`{one}`' for one in metric.labels)} | {metric.help} |"


def _section(name: str, field: FieldInfo) -> tuple[type[BaseModel], str]:
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return field.annotation, name
    _, model = get_args(field.annotation)
    return model, f"{name}.NAME"


def _default(setting: FieldInfo) -> str:
    if setting.is_required():
        return "needed"
    return "" if setting.default is None else f"`{json.dumps(setting.default)}`"


# --- files


def write(project: Path) -> Mapping[Path, bool]:
    """Writes the files that differ. Path of every file → whether it was written."""
    written = {}
    for name, text in _published(project).items():
        path = project / name
        written[path] = _read(path) != text
        if written[path]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return written


def drift(project: Path) -> str:
    """How the files differ from what the code says, as a unified diff; empty if they do not."""
    return "".join(
        line
        for name, text in _published(project).items()
        for line in difflib.unified_diff(
            _read(project / name).splitlines(keepends=True), text.splitlines(keepends=True), name, "ccgateway schema"
        )
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
