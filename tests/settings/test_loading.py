"""A file of settings: what it may leave out, and what is no file of settings at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from ccgateway.errors import SettingsError
from ccgateway.settings import _MODELS, LimitSettings, load_settings
from settings.texts import CANARY, Load, refusal, site


def test_a_small_file_is_enough(load: Load) -> None:
    settings = load()
    aurora = settings.sites["aurora"]
    assert (aurora.name, aurora.number, aurora.url, aurora.release) == ("aurora", 1, "https://cc.example.org/base", "auto")
    assert aurora.read_token() is None
    assert settings.server.host == "127.0.0.1"
    assert settings.limits == LimitSettings.model_validate({})


def test_no_file_at_all_is_defaults() -> None:
    assert load_settings(None).sites == {}


def test_settings_are_frozen(load: Load) -> None:
    settings = load()
    for target, name in [(settings, "sites"), (settings.server, "port"), (settings.sites["aurora"], "url")]:
        with pytest.raises(Exception, match="frozen"):
            setattr(target, name, None)


@pytest.mark.parametrize("model", _MODELS.values(), ids=_MODELS)
def test_every_setting_is_described(model: type[BaseModel]) -> None:
    undescribed = {name for name, field in model.model_fields.items() if not field.description}
    assert undescribed <= {"name"}  # a site's name is its section's


@pytest.mark.parametrize(
    "text", ["[server", "port = ", "[server]\nport = 1\nport = 2", b"\xff\xfe", "[sites.aurora]\n[sites.aurora]\n", b"a = '\x00'"]
)
def test_what_is_no_toml_is_refused_with_its_place(load: Load, text: str | bytes) -> None:
    error = refusal(load, text)
    assert "not valid TOML" in error.problem or "not in UTF-8 (line 1)" in error.problem
    assert error.key.endswith("ccgateway.toml")


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 20_000, "x = " + "9" * 5000, "x = " + "{a=" * 5000], ids=["lists", "a number", "tables"]
)
def test_what_is_beyond_all_measure_is_no_toml(load: Load, text: str) -> None:
    assert "not valid TOML" in refusal(load, text).problem


@pytest.mark.parametrize("text", ['[sites.aurora]\ntoken_file = "a\\u0000b"', '[server]\ntls_cert = "\\u0000"'])
def test_a_path_that_no_file_can_have_is_refused_by_its_key(load: Load, text: str) -> None:
    error = refusal(load, text)
    assert "no path has" in error.problem and error.key in ("sites.aurora.token_file", "server.tls_cert")


def test_a_mark_of_the_byte_order_is_no_part_of_the_text(load: Load) -> None:
    assert load(b"\xef\xbb\xbf[server]\nport = 8181\n").server.port == 8181


def test_a_secret_in_broken_toml_is_not_repeated(load: Load) -> None:
    refusal(load, site(f'token = "{CANARY}'))
    refusal(load, f"[sites.aurora]\n{CANARY}")


@pytest.mark.parametrize("kind", ["absent", "folder"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "nowhere.toml"
    with pytest.raises(SettingsError) as refused:
        load_settings(path)
    assert refused.value.key == str(path)
