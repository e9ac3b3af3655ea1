"""Settings are read from a file of the test, and from no variable that somebody else has set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ccgateway.settings import Settings, load_settings
from settings.texts import GOOD, Load


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("CCGATEWAY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def from_text(text: str | bytes = GOOD) -> Settings:
        path = tmp_path / "ccgateway.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings(path)

    return from_text
