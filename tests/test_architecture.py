"""The house: imports go one way, every module has its place and says what it is for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ccgateway

ROOT = Path(__file__).parent.parent
PACKAGE = Path(ccgateway.__file__).parent
#: but what protoc made
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_pb2" not in path.name)
ROOMS = sorted(path.parent for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE)

#: lines beyond which a module owns more than one noun
MOST_LINES = 400


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_import_contract_is_kept() -> None:
    # in a process of its own: the linter switches off the loggers of the one that it runs in
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_is_of_a_size_to_be_read_at_once() -> None:
    too_long = [name_of(path) for path in MODULES if len(path.read_text().splitlines()) > MOST_LINES]
    assert not too_long, f"more than {MOST_LINES} lines, so more than one noun: find the one that leaves"


def test_every_module_says_what_it_is_for() -> None:
    silent = [name_of(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent, "a module begins with what it is for"


def contents(room: Path) -> Iterator[str]:
    for path in room.iterdir():
        if path.suffix == ".py" and path.stem not in ("__init__", "__main__"):
            yield path.stem
        elif (path / "__init__.py").exists():
            yield path.name


def test_every_rooms_docstring_is_a_map_of_it() -> None:
    missing = []
    for room in ROOMS:
        text = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
        if (room / "schema.py").exists():  # the schema module draws the types
            text += ast.get_docstring(ast.parse((room / "schema.py").read_text())) or ""
        missing += [f"{name_of(room)}: {name}" for name in contents(room) if name not in text]
    assert not missing, "a room's __init__ has a line for each of its modules"


def test_nothing_is_printed_past_the_console() -> None:
    calls = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert [call for call in calls if not call.startswith("simulator/")] == []
