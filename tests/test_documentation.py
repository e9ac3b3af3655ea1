"""What the documents say is so: settings, codes, examples, links."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ccgateway import __version__
from ccgateway.errors import CODES, Code
from ccgateway.operations.published import drift
from ccgateway.settings import (
    ApiKeySettings,
    CacheSettings,
    CallerSettings,
    ExchangeSettings,
    IdentitySettings,
    IssuerSettings,
    LimitSettings,
    RestSettings,
    ServerSettings,
    Settings,
    SiteSettings,
    WriteSettings,
    load_settings,
)
from ccgateway.site.credentials.table import read_table
from ccgateway.surfaces.graphql.schema import sdl

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(
    path for path in (*ROOT.glob("*.md"), *ROOT.glob("deploy/*"), *ROOT.glob("*/README.md"), *ROOT.glob("tests/live/*.md"))
)
SECTIONS: dict[str, type[BaseModel]] = {
    "server": ServerSettings,
    "caller": CallerSettings,
    "limits": LimitSettings,
    "rest": RestSettings,
    "cache": CacheSettings,
    "issuers.NAME": IssuerSettings,
    "api_keys.NAME": ApiKeySettings,
    "identities": IdentitySettings,
    "exchange": ExchangeSettings,
    "writes": WriteSettings,
    "sites.NAME": SiteSettings,
}

KINDS = "|".join(name.split(".")[0] for name in SECTIONS)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def setting_row(section: str, key: str, model: type[BaseModel]) -> str:
    field = model.model_fields[key]
    if field.default is PydanticUndefined:
        default = "needed"
    elif field.default is None:
        default = ""
    else:
        default = f"`{json.dumps(field.default)}`"
    return f"| `{section}.{key}` | {default} | {field.description} |"


SETTING_ROWS = [
    setting_row(section, key, model)
    for section, model in SECTIONS.items()
    for key in model.model_fields
    if (section.endswith(".NAME"), key) != (True, "name")
]


@pytest.mark.parametrize("row", SETTING_ROWS)
def test_a_setting_is_documented_with_its_default_and_its_description(row: str) -> None:
    assert row in README.splitlines()


def test_no_setting_is_documented_that_does_not_exist() -> None:
    rows = [line for line in README.splitlines() if re.match(rf"\| `({KINDS})\.", line)]
    assert sorted(rows) == sorted(SETTING_ROWS)


def test_every_section_of_the_settings_is_among_those_documented() -> None:
    assert {name.split(".")[0] for name in SECTIONS} == set(Settings.model_fields)


@pytest.mark.parametrize("code", Code)
def test_an_error_code_is_documented_as_the_table_has_it(code: Code) -> None:
    row = CODES[code]
    start = f"| `{code}` | {row.http} | {row.grpc} | {'yes' if row.retryable else 'no'} | "
    (line,) = [line for line in README.splitlines() if line.startswith(f"| `{code}` ")]
    assert line.startswith(start) and len(line) > len(start) + 2


def test_no_error_code_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \| \d", README, re.MULTILINE))
    assert documented == {code.value for code in Code}


def test_the_published_schema_is_the_codes() -> None:
    assert drift(ROOT / "schema") == ""


@pytest.mark.parametrize("query", blocks("graphql"))
def test_an_example_query_is_valid(query: str) -> None:
    assert validate(build_schema(sdl()), parse(query)) == []


@pytest.mark.parametrize("text", [*blocks("toml"), (ROOT / "deploy" / "ccgateway.example.toml").read_text()])
def test_an_example_of_settings_can_be_loaded(text: str, tmp_path: Path) -> None:
    (tmp_path / "ccgateway.toml").write_text(text)
    assert len(load_settings(tmp_path / "ccgateway.toml").sites) == 3


def test_the_example_of_a_table_can_be_read(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml people\.toml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "people.toml"
    path.write_text(text)
    path.chmod(0o600)
    entries = read_table(path)
    assert set(entries) == {("alice", "aurora"), ("alice", "borealis")} and entries["alice", "aurora"].own is not None


def test_the_unit_starts_a_command_that_exists() -> None:
    unit = (ROOT / "deploy" / "ccgateway.service").read_text()
    assert re.search(r"^ExecStart=\S+/ccgateway serve --config \S+\.toml$", unit, re.MULTILINE)


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """A running demo's address."""
    command = [sys.executable, "-u", "-m", "ccgateway", "demo", "--port", "0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = None
            for line in process.stdout:
                found = found or re.search(r"(http://127\.0\.0\.1:\d+)/graphql", line)
                if "Ctrl-C" in line:
                    break
            assert found is not None
            yield found[1]
        finally:
            process.terminate()


def asked(url: str, body: bytes) -> dict[str, Any]:
    from urllib.request import Request, urlopen

    with urlopen(Request(f"{url}/graphql", body, {"Content-Type": "application/json"}), timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.parametrize("query", blocks("graphql"))
def test_an_example_query_works_in_the_demo(query: str, demo: str) -> None:
    for _ in range(5):  # a site of the demo that is slower than the others, on a busy machine, is left out
        answer = asked(demo, json.dumps({"query": query}).encode())
        if "errors" not in answer:
            break
    assert "errors" not in answer and answer["data"]


def test_the_example_of_a_filter_finds_something_in_the_demo(demo: str) -> None:
    (query,) = [block for block in blocks("graphql") if "LongJobs" in block]
    jobs = asked(demo, json.dumps({"query": query}).encode())["data"]["jobs"]["items"]
    assert jobs and all(
        job["site"] in ("aurora", "borealis") and job["numNodes"] >= 2 and job["duration"] >= 3600 for job in jobs
    )


def test_the_example_for_the_shell_works_in_the_demo(demo: str) -> None:
    (body,) = [found[1] for block in blocks("sh") if (found := re.search(r"-d '(.*)'", block))]
    assert len(asked(demo, body.encode())["data"]["jobs"]["items"]) == 5


def test_the_example_that_reads_everything_works_in_the_demo(demo: str) -> None:
    (program,) = blocks("python")
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        exec(compile(program.replace("http://127.0.0.1:8080", demo), "README.md", "exec"), {})
    count = asked(demo, b'{"query": "{ jobs(first: 1, filter: [{state: [failed]}]) { count } }"}')["data"]["jobs"]["count"]
    assert written.getvalue() == f"{count} failed jobs\n" and count > 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_changelog_has_this_version_and_room_for_the_next() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", __version__]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_file_pins_every_package_and_names_no_place(name: str) -> None:
    """And the hash of every archive that may be taken for it."""
    pins = re.split(r"\n(?=\S)", (ROOT / name).read_text().rstrip())
    pin = r"[a-z0-9.-]+==[0-9][\w.]*( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+"
    assert len(pins) > 20 and [text for text in pins if not re.fullmatch(pin, text)] == []


def test_the_lock_files_agree_and_hold_what_the_project_needs() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run, dev = ((ROOT / name).read_text().splitlines() for name in ("requirements.txt", "requirements-dev.txt"))
    assert set(run) <= set(dev)
    for needed, lines in ((project["project"]["dependencies"], run), (project["dependency-groups"]["dev"], dev)):
        names = {re.split(r"[^\w.-]", text, maxsplit=1)[0].replace(".", "-") for text in needed}
        assert names <= {line.split("==")[0] for line in lines}
