"""Releases are values: all that differs between them is said in one place, by facts, and never asked for by name elsewhere."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import ccgateway
from ccgateway.jobs.model import JobKey
from ccgateway.settings import Release
from ccgateway.site.releases import DIALECTS, Dialect
from ccgateway.site.releases.v1_5 import V1_5
from support.upstream import user_credential

PACKAGE = Path(ccgateway.__file__).parent
ELSEWHERE = sorted(path for path in PACKAGE.rglob("*.py") if not {"simulator", "releases"} & set(path.relative_to(PACKAGE).parts))


def asks_for_a_release(node: ast.AST) -> bool:
    """Whether it compares something with a release's name, or looks something up by one."""
    match node:
        case ast.Compare(left, _, comparators):
            asked: list[ast.expr] = [left, *comparators]
        case ast.MatchValue(value):
            asked = [value]
        case ast.Dict(keys):
            asked = [key for key in keys if key is not None]
        case ast.Subscript(_, index):
            asked = [index]
        case _:
            asked = []
    return any(isinstance(one, ast.Constant) and one.value in DIALECTS for part in asked for one in ast.walk(part))


def test_no_other_module_asks_for_a_release_by_its_name() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {ast.unparse(node)}"
        for path in ELSEWHERE
        for node in ast.walk(ast.parse(path.read_text()))
        if asks_for_a_release(node)
    ]
    assert found == ["settings/sites.py: Literal['auto', '1.2', '1.3', '1.4', '1.5', 'howto']"]  # what operators may write


@pytest.mark.parametrize("code", ['x == "howto"', 'x in ("1.2", y)', 'match x:\n case "1.4": pass', '{"1.5": 1}', 'known["1.2"]'])
def test_asking_for_a_release_by_its_name_is_noticed(code: str) -> None:
    assert any(map(asks_for_a_release, ast.walk(ast.parse(code))))


def test_settings_can_name_every_release_and_no_other() -> None:
    assert set(get_args(Release)) == {"auto", *DIALECTS}


def test_a_release_knows_its_own_name() -> None:
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {name: name for name in DIALECTS}


def test_a_new_release_is_one_value_that_reads_and_writes() -> None:
    new: Dialect = replace(V1_5, name="1.6", capabilities=(*V1_5.capabilities, "user-filter"), meta_by_key=False, query=None)
    assert new.clusters_request(user_credential("alice")).path == "/api/clusters/"
    ((_, request),) = new.meta_requests(JobKey("here", "c", 1, 2), 7, {"k": "v"})
    assert request.path == "/api/jobs/edit_meta/7"


@pytest.mark.parametrize(
    ("release", "root", "roles", "is_admitted"),
    [
        ("1.2", "/api", ("api", "user"), True), ("1.3", "/userapi", ("api", "user"), False), ("1.3", "/api", ("user",), False),
        ("1.4", "/userapi", ("support", "api"), False), ("1.4", "/userapi", ("manager", "api"), True),
        ("1.5", "/userapi", ("support", "api"), True), ("howto", "/userapi", ("support", "api"), True),
        ("1.5", "/api", ("user", "api"), False), ("1.5", "/api", ("admin", "api"), True), ("1.5", "/api", ("api",), True),
        ("1.5", "/userapi", ("user", "user", "api"), False),
    ],
)  # fmt: skip
def test_which_roles_open_which_root(release: str, root: str, roles: tuple[str, ...], is_admitted: bool) -> None:
    assert DIALECTS[release].admits(roles, root) is is_admitted
