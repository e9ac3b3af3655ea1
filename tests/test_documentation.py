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

from ccgateway import __version__
from ccgateway.errors import Code
from ccgateway.operations.published import drift
from ccgateway.settings import Settings, load_settings
from ccgateway.site.credentials.table import read_table
from ccgateway.surfaces.graphql.schema import sdl

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*/*.md"))]
SHIPPED = [path for path in ROOT.glob("deploy/**/*") if path.is_file()]
DOCUMENTS = sorted({*PAGES, *ROOT.glob("*.md"), *SHIPPED, *ROOT.glob("*/README.md"), *ROOT.glob("tests/live/*.md")})
PACKAGE = ROOT / "src" / "ccgateway"


def blocks(language: str) -> list[str]:
    return [found for page in PAGES for found in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)]


def test_what_is_published_is_what_the_code_says() -> None:
    """The schema files, and in the documents the tables of settings and error codes."""
    assert drift(ROOT) == ""


def test_every_setting_and_error_code_is_documented_with_a_sentence() -> None:
    settings, codes = ((ROOT / page).read_text() for page in ("docs/operate/settings.md", "docs/use/errors.md"))
    rows = re.findall(r"^\| `(\w+)\.[\w.]+` \|[^|]*\| (.*) \|$", settings, re.MULTILINE)
    assert {section for section, _ in rows} == set(Settings.model_fields)
    assert all(len(words) > 5 for _, words in rows)
    documented = re.findall(r"^\| `([A-Z_]+)` \| \d+ \| [A-Z_]+ \| (?:yes|no) \| \S", codes, re.MULTILINE)
    assert documented == [code.value for code in Code]


def test_the_first_page_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 8 << 10


def test_the_picture_of_the_rooms_is_the_import_contract() -> None:
    import tomllib

    house = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    (picture,) = re.findall(r"```\n(cli .*?)```", (ROOT / "docs/develop/architecture.md").read_text(), re.DOTALL)
    drawn = [re.split(r" {2,}", line) for line in picture.splitlines()]
    layers = [sorted(layer.split(" | ")) for layer in house if layer != "__main__"]
    assert [sorted(words[: len(layer)]) for words, layer in zip(drawn, layers, strict=True)] == layers


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/develop/*.md")), ids=lambda page: page.name)
def test_modules_that_are_named_for_developers_exist(page: Path) -> None:
    there = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*")]
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py|[a-z_]+(?:/[a-z_]+)+)`", page.read_text())
    assert [
        name for name in named if not (ROOT / name).exists() and not any(f"/{path}".endswith(f"/{name}") for path in there)
    ] == []


@pytest.mark.parametrize("query", blocks("graphql"))
def test_an_example_query_is_valid(query: str) -> None:
    assert validate(build_schema(sdl()), parse(query)) == []


@pytest.mark.parametrize("text", [*blocks("toml"), (ROOT / "deploy" / "ccgateway.example.toml").read_text()])
def test_an_example_of_settings_can_be_loaded(text: str, tmp_path: Path) -> None:
    (tmp_path / "ccgateway.toml").write_text(text)
    assert len(load_settings(tmp_path / "ccgateway.toml").sites) == 3


def test_the_example_of_signing_in_can_be_loaded(tmp_path: Path) -> None:
    (text,) = blocks("toml signing-in.toml")
    (tmp_path / "ccgateway.toml").write_text(text)
    assert load_settings(tmp_path / "ccgateway.toml").portal.signs_in


def test_the_example_of_a_table_can_be_read(tmp_path: Path) -> None:
    (text,) = blocks("toml people.toml")
    path = tmp_path / "people.toml"
    path.write_text(text)
    path.chmod(0o600)
    entries = read_table(path)
    assert set(entries) == {("alice", "aurora"), ("alice", "borealis")} and entries["alice", "aurora"].own is not None


def test_the_unit_starts_a_command_that_exists() -> None:
    unit = (ROOT / "deploy" / "systemd" / "ccgateway.service").read_text()
    assert re.search(r"^ExecStart=\S+/ccgateway serve --config \S+\.toml$", unit, re.MULTILINE)


@pytest.fixture(scope="module")
def running_demo() -> Iterator[tuple[str, str]]:
    """A running demo's address, and what it writes."""
    command = [sys.executable, "-u", "-m", "ccgateway", "demo", "--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            written, found = "", None
            for line in process.stdout:
                written += line
                found = found or re.search(r"(http://127\.0\.0\.1:\d+)/graphql", line)
                if "Ctrl-C" in line:
                    break
            assert found is not None
            yield found[1], written
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def demo(running_demo: tuple[str, str]) -> str:
    """A running demo's address."""
    return running_demo[0]


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
    bodies = [found[1] for block in blocks("sh") if (found := re.search(r"-d '(.*jobs\(.*)'", block))]
    assert [len(asked(demo, body.encode())["data"]["jobs"]["items"]) for body in bodies] == [5, 5]


def test_the_example_that_reads_everything_works_in_the_demo(demo: str) -> None:
    (program,) = [block for block in blocks("python") if "/graphql" in block]
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        exec(compile(program.replace("http://127.0.0.1:8080", demo), "docs/use/graphql.md", "exec"), {})
    count = asked(demo, b'{"query": "{ jobs(first: 1, filter: [{state: [failed]}]) { count } }"}')["data"]["jobs"]["count"]
    assert written.getvalue() == f"{count} failed jobs\n" and count > 10


def grpc_address(written: str) -> str:
    found = re.search(r'insecure_channel\("([\d.]+:\d+)"\)', written)
    assert found is not None, written
    return found[1]


def test_the_example_client_of_grpc_works_in_the_demo(running_demo: tuple[str, str]) -> None:
    url, written = running_demo
    (program,) = [block for block in blocks("python") if "ListJobs" in block]
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(compile(program.replace("127.0.0.1:9090", grpc_address(written)), "docs/use/grpc.md", "exec"), {})
    count = asked(url, b'{"query": "{ jobs(first: 1, filter: [{state: [failed]}]) { count } }"}')["data"]["jobs"]["count"]
    assert told.getvalue() == f"{count} failed jobs \n" and count > 10


def test_the_lines_of_python_that_the_demo_prints_work(running_demo: tuple[str, str]) -> None:
    _, written = running_demo
    grpc_address(written)
    lines = written[written.index("  import grpc") : written.index("\nCtrl-C")]
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(compile("\n".join(line.removeprefix("  ") for line in lines.splitlines()), "demo", "exec"), {})
    assert len(told.getvalue().splitlines()) == 3 and "grpcurl -plaintext" in written


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


@pytest.mark.parametrize("language", ["python", "python reports"])
def test_the_examples_of_reports_work_in_the_demo(language: str, demo: str) -> None:
    text = (ROOT / "docs/use/reports.md").read_text()
    (program,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(compile(program.replace("http://127.0.0.1:8080", demo), "docs/use/reports.md", "exec"), {})
    assert re.search(
        r"\d+ node hours of alice's" if language == "python" else r"^15000 jobs\n(?s:.*)flops_any: \d+", told.getvalue()
    )
