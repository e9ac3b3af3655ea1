"""The audit file: where it is, and that nobody else reads it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ccgateway.errors import SettingsError
from ccgateway.federation.audit import audit_to_file, close_audit_file
from ccgateway.settings import load_settings
from ccgateway.telemetry import Troubles


def test_the_audit_file_is_relative_to_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "ccgateway.toml"
    path.write_text('[writes]\naudit_file = "logs/audit.log"\n')
    assert load_settings(path).writes.audit_file == tmp_path / "logs/audit.log"


def test_an_audit_file_that_cannot_be_written_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        audit_to_file(tmp_path / "nowhere" / "audit.log", Troubles())
    assert raised.value.key == "writes.audit_file"


def test_the_audit_file_is_for_nobody_else(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        handler = audit_to_file(tmp_path / "audit.log", Troubles())
        close_audit_file(handler)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


@pytest.mark.parametrize(("mode", "then"), [(0o640, 0o640), (0o644, 0o640), (0o666, 0o660), (0o600, 0o600)])
def test_an_audit_file_that_is_there_stays_its_groups_and_becomes_nobody_elses(tmp_path: Path, mode: int, then: int) -> None:
    path = tmp_path / "audit.log"
    path.write_text("")
    path.chmod(mode)
    close_audit_file(audit_to_file(path, Troubles()))
    assert stat.S_IMODE(path.stat().st_mode) == then
