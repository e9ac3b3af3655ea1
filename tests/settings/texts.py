"""Texts of settings files, and how they are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ccgateway.errors import Code, SettingsError
from ccgateway.settings import Settings

__all__ = ["API_KEY", "CANARY", "GOOD", "Load", "refusal", "site"]


CANARY = "eyJhbGciOiJFZERTQSJ9.canary-payload-canary.canary-signature-canary"


GOOD = """
[sites.aurora]
number = 1
url = "https://cc.example.org/base/"
"""


API_KEY = f'[api_keys.slurm]\nhash = "sha256:{"0" * 64}"\nsubject = "x"\nroles = ["api"]'


Load = Callable[..., Settings]


def refusal(load: Load, text: str | bytes) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        load(text)
    error = refused.value
    assert error.code is Code.SETTINGS
    assert error.key
    assert error.problem
    assert len(error.remedy) > 5
    assert error.message == f"{error.key}: {error.problem}. {error.remedy}"
    assert CANARY not in error.message + repr(error)
    return error


def site(extra: str = "", *, name: str = "aurora", number: str = "1", url: str = '"https://cc.example.org"') -> str:
    return f"[sites.{name}]\nnumber = {number}\nurl = {url}\n{extra}\n"
