"""Every setting that a file of ``deploy/``, a runbook or the page about both names exists, and every example can be loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ccgateway.settings import _MODELS, Settings, load_settings
from deploy.tools import DEPLOY, ROOT

FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix not in (".json", ".toml"))
PAGES = [ROOT / "docs/operate/runbooks.md", ROOT / "docs/operate/deploy.md"]
EXAMPLES = sorted(DEPLOY.rglob("*.toml"))


def known() -> set[str]:
    """Every setting, as the documents write it: ``sites.NAME.url``."""
    return {
        f"{section}.{'NAME.' if section in ('issuers', 'api_keys', 'sites') else ''}{name}"
        for section, model in _MODELS.items()
        for name in model.model_fields
    }


def named(path: Path) -> set[str]:
    """What looks like a setting: a section that there is, and a name; and in comments ``[server] drain = …, grace = …``."""
    text = path.read_text()
    sections = "|".join(Settings.model_fields)
    dotted = re.findall(rf"(?<![\w./-])((?:{sections})\.(?:NAME\.)?(?!md\b)[a-z_]+)(?![\w./-]|\()", text)
    listed = [
        f"{section}.{name}"
        for section, rest in re.findall(
            r"\[([a-z]+)\]((?:,? +\"?\w+\"?(?: = (?:\[[^\]]*\]|\"[^\"]*\"|[\w.]+))?(?: and)?)+)", text
        )
        for name in re.findall(r"([a-z_]+) = ", rest)
    ]
    return {*dotted, *listed}


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_that_are_named_exist(path: Path) -> None:
    unknown = {name for name in named(path) if name not in known()}
    assert unknown == set()


def test_names_of_settings_are_seen_in_comments_and_text(tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_text('# [server] trusted_proxies = ["x"], root_path = "/y", compression = true\nmore than `limits.patience`')
    assert named(path) == {"server.trusted_proxies", "server.root_path", "server.compression", "limits.patience"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_an_example_of_settings_can_be_loaded_and_is_open_only_where_it_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CCGATEWAY_CACHE__REDIS_URL", "CCGATEWAY_SERVER__PORT"):
        monkeypatch.delenv(variable, raising=False)
    settings = load_settings(path)
    settings.check_exposure()
    simulated = path.parent.name == "compose"
    assert len(settings.sites) >= 2 and settings.authenticates is not simulated
