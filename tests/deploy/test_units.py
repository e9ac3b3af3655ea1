"""The systemd units and the logrotate file: their own tools take them."""

from __future__ import annotations

import logging
import re
import stat
from pathlib import Path

from ccgateway.federation.audit import audit_to_file, close_audit_file
from ccgateway.settings import load_settings
from ccgateway.telemetry import Troubles
from deploy.tools import DEPLOY, adapted, succeeds, tool

SERVICE = DEPLOY / "systemd" / "ccgateway.service"
SOCKET = DEPLOY / "systemd" / "ccgateway.socket"
LOGROTATE = DEPLOY / "logrotate" / "ccgateway"
PROGRAM = "/opt/ccgateway/.venv/bin/ccgateway"


def value(unit: Path, key: str) -> str:
    (found,) = re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)
    return str(found)


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    verify = tool("systemd-analyze", "systemd")
    (tmp_path / SERVICE.name).write_text(adapted(SERVICE.read_text(), {PROGRAM: "/bin/true"}))
    (tmp_path / SOCKET.name).write_text(SOCKET.read_text())
    assert succeeds(verify, "verify", tmp_path / SERVICE.name, tmp_path / SOCKET.name) == ""


def test_systemd_counts_the_sandbox_as_a_tight_one(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze", "systemd")
    (tmp_path / SERVICE.name).write_text(SERVICE.read_text())
    told = succeeds(analyze, "security", "--offline=true", "--threshold=20", tmp_path / SERVICE.name)
    assert re.search(r"exposure level for ccgateway\.service: [01]\.\d OK", told)


def test_the_unit_waits_longer_than_the_gateway_takes_to_stop() -> None:
    """By its defaults: five seconds to drain, and five more than a request may take."""
    timeout = load_settings(DEPLOY / "ccgateway.example.toml").limits.request_timeout
    assert int(value(SERVICE, "TimeoutStopSec")) > 5 + timeout + 5 + 10
    assert value(SERVICE, "Type") == "notify" and value(SERVICE, "ExecReload") == "/bin/kill -HUP $MAINPID"


def test_bad_settings_are_not_tried_again_and_again() -> None:
    assert value(SERVICE, "Restart") == "on-failure" and value(SERVICE, "RestartPreventExitStatus") == "2"


def test_secrets_reach_the_service_as_credentials_of_the_sites_in_the_example() -> None:
    named = re.findall(r"^LoadCredential=([\w.]+):/etc/ccgateway/secrets/([\w.]+)$", SERVICE.read_text(), re.MULTILINE)
    example = (DEPLOY / "ccgateway.example.toml").read_text()
    assert named and all(inside == outside and inside in example for inside, outside in named)
    assert not re.search(r"^Environment", SERVICE.read_text(), re.MULTILINE), "the environment of a process can be read"


def test_the_socket_listens_where_the_settings_do() -> None:
    server = load_settings(DEPLOY / "ccgateway.example.toml").server
    assert value(SOCKET, "ListenStream") == f"{server.host}:{server.port}"


def test_the_audit_file_lies_in_a_folder_that_the_service_may_write_to() -> None:
    (path,) = re.findall(r"^(/\S+) \{$", LOGROTATE.read_text(), re.MULTILINE)
    assert Path(path).parent == Path("/var/log") / value(SERVICE, "LogsDirectory")


def test_lines_written_after_a_rotation_are_in_the_new_file_and_none_is_lost(tmp_path: Path) -> None:
    rotate = tool("logrotate", "logrotate")
    tmp_path.chmod(0o755)
    path, config = tmp_path / "audit.log", tmp_path / "ccgateway"
    config.write_text(adapted(LOGROTATE.read_text(), {"/var/log/ccgateway/audit.log": str(path)}))
    config.chmod(0o644)
    succeeds(rotate, "--debug", config)
    handler = audit_to_file(path, Troubles())
    try:
        handler.emit(logging.makeLogRecord({"msg": "before"}))
        succeeds(rotate, "--force", "--state", tmp_path / "state", config)
        (moved,) = tmp_path.glob("audit.log-*")
        handler.emit(logging.makeLogRecord({"msg": "after"}))
    finally:
        close_audit_file(handler)
    assert (moved.read_bytes(), path.read_bytes()) == (b"before\n", b"after\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
