"""Variables of the environment: stronger than the file, and refused as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ccgateway.settings import load_settings
from settings.texts import CANARY, GOOD, Load, refusal, site


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("CCGATEWAY_SERVER__PORT", "9000", lambda s: s.server.port == 9000),
        ("CCGATEWAY_SERVER__GRAPHIQL", "false", lambda s: s.server.graphiql is False),
        ("CCGATEWAY_CALLER__SUBJECT", "ops", lambda s: s.caller.subject == "ops"),
        ("CCGATEWAY_LIMITS__PATIENCE", "0.5", lambda s: s.limits.patience == 0.5),
        ("CCGATEWAY_SITES__AURORA__URL", "http://other", lambda s: s.sites["aurora"].url == "http://other"),
        ("CCGATEWAY_SITES__AURORA__NUMBER", "7", lambda s: s.sites["aurora"].number == 7),
        ("CCGATEWAY_SITES__AURORA__REQUIRED", "true", lambda s: s.sites["aurora"].required),
        ("CCGATEWAY_SITES__AURORA__TOKEN", CANARY, lambda s: s.sites["aurora"].read_token().get_secret_value() == CANARY),
    ],
)
def test_the_environment_is_stronger_than_the_file(
    load: Load, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, read: Callable[[Any], bool]
) -> None:
    monkeypatch.setenv(variable, value)
    text = site("required = false") + '[server]\nport = 1\ngraphiql = true\n[caller]\nsubject = "x"\n[limits]\npatience = 9\n'
    assert read(load(text))


def test_a_dash_in_a_sites_name_is_an_underscore_in_its_variables(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA_2_EAST__TOKEN", CANARY)
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA_2_EAST__URL", "http://other")
    sites = load(site(name="aurora-2-east")).sites
    assert list(sites) == ["aurora-2-east"]
    east = sites["aurora-2-east"]
    assert (east.name, east.number, east.url) == ("aurora-2-east", 1, "http://other")
    token = east.read_token()
    assert token is not None
    assert token.get_secret_value() == CANARY


def test_a_site_can_stand_in_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__URL", "http://x")
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__NUMBER", "3")
    assert load_settings(None).sites["aurora"].number == 3


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("CCGATEWAY_SERVER__PORT", "many", "server.port"),
        ("CCGATEWAY_SERVER__PROT", "80", "server.prot"),
        ("CCGATEWAY_LIMITS__PATIENCE", "soon", "limits.patience"),
        ("CCGATEWAY_SITES__AURORA__RELEASE", "9", "sites.aurora.release"),
        ("CCGATEWAY_SITES__BOREALIS__TOKEN", CANARY, "sites.borealis.number"),
        ("CCGATEWAY_SITES__AURORA__TOKEN_", CANARY, "sites.aurora.token_"),
        ("CCGATEWAY_SERVER", "8080", "server"),
        ("CCGATEWAY_SERVER", "{not json", "server"),
        ("CCGATEWAY_SERVER__CORS_ORIGINS", "https://portal.example.org", "server.cors_origins"),
        ("CCGATEWAY_SITES", f"token={CANARY}", "sites"),
        ("CCGATEWAY_SITES", json.dumps({"aurora": {"token": CANARY, "number": 0}}), "sites.aurora.number"),
        ("CCGATEWAY_SITES", json.dumps([CANARY]), "sites"),
    ],
)
def test_a_bad_variable_is_refused_like_a_bad_file(
    load: Load, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, key: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert key in refusal(load, GOOD).key
