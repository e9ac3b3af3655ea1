"""The token of a site: from a file or a variable, one and well-formed, and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccgateway.errors import SettingsError
from settings.texts import CANARY, Load, site


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "aurora.jwt"
    path.write_text(f"\n  {CANARY} \n")
    return path


def test_a_token_comes_from_a_file_beside_the_settings(load: Load, token_file: Path) -> None:
    token = load(site('token_file = "aurora.jwt"')).sites["aurora"].read_token()
    assert token is not None
    assert token.get_secret_value() == CANARY


def test_a_token_comes_from_a_named_variable(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURORA_JWT", CANARY)
    token = load(site('token_env = "AURORA_JWT"')).sites["aurora"].read_token()
    assert token is not None
    assert token.get_secret_value() == CANARY


@pytest.mark.parametrize(
    "text", [b"", b" \n", b"\xff\xfe", f"{CANARY}\n{CANARY}".encode(), f"Bearer {CANARY}".encode(), "tökén".encode()]
)
def test_a_file_without_one_token_is_refused(load: Load, token_file: Path, text: bytes) -> None:
    token_file.write_bytes(text)
    settings = load(site('token_file = "aurora.jwt"'))
    with pytest.raises(SettingsError) as refused:
        settings.sites["aurora"].read_token()
    assert refused.value.key == "sites.aurora.token_file"
    assert CANARY not in refused.value.message


@pytest.mark.parametrize("text", ["", " ", f"{CANARY} {CANARY}", f"Bearer {CANARY}", "tökén", f"{CANARY}\r\nX-Evil: 1"])
@pytest.mark.parametrize("where", ["token_env", "token"])
def test_a_variable_without_one_token_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch, where: str, text: str) -> None:
    monkeypatch.setenv("AURORA_JWT" if where == "token_env" else "CCGATEWAY_SITES__AURORA__TOKEN", text)
    settings = load(site('token_env = "AURORA_JWT"' if where == "token_env" else ""))
    with pytest.raises(SettingsError) as refused:
        settings.sites["aurora"].read_token()
    assert refused.value.key == f"sites.aurora.{where}"
    assert CANARY not in refused.value.message


def test_a_trailing_line_end_in_a_variable_is_no_part_of_the_token(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__TOKEN", f"{CANARY}\n")
    token = load().sites["aurora"].read_token()
    assert token is not None
    assert token.get_secret_value() == CANARY


@pytest.mark.parametrize("extra", ['token_file = "nowhere"', 'token_file = "."', 'token_env = "NOT_SET_ANYWHERE"'])
def test_a_token_that_is_not_there_is_refused_by_key(load: Load, extra: str) -> None:
    settings = load(site(extra))
    with pytest.raises(SettingsError, match=r"sites\.aurora\.token_"):
        settings.sites["aurora"].read_token()


def test_a_token_shows_in_no_repr_and_no_dump(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__TOKEN", CANARY)
    settings = load()
    for shown in (
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        str(settings.model_dump()),
        repr(settings.sites["aurora"]),
    ):
        assert "canary" not in shown
