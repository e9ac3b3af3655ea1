"""Tokens and API keys for those who have no identity provider: tests, robots, a first try."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pydantic import SecretStr, ValidationError

from ccgateway.errors import SettingsError
from ccgateway.identity.callers import API_KEY, hash_of
from ccgateway.identity.claims import is_subject
from ccgateway.identity.ed25519 import mint, private_key_of
from ccgateway.settings import SITE_NAME, ApiKeySettings
from ccgateway.settings.identities import Role

__all__ = ["mint_token", "new_api_key", "seconds_of", "section_for"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> int:
    """Seconds of a time such as ``90s``, ``15m``, ``12h``, ``30d``. Raises ``SettingsError`` for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,8})([smhd])", text)
    if found is None:
        raise SettingsError("--for", f"{text[:40]!r} is not a time", "Write a number and a unit, such as 15m, 12h or 30d.")
    return int(found[1]) * _UNITS[found[2]]


def mint_token(
    key_file: Path, *, subject: str, roles: Sequence[str], seconds: int, issuer: str | None, audience: str | None
) -> SecretStr:
    """A token signed with the private key in that file. Raises ``SettingsError`` where that cannot be."""
    if not is_subject(subject):
        raise SettingsError("--subject", "is not a name that a caller can have", "Use letters, digits and . _ @ : | + / = ~ -")
    try:
        text = SecretStr(key_file.read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        remedy = "Make a key: openssl genpkey -algorithm ed25519 -out FILE"
        raise SettingsError("--key-file", f"{key_file} cannot be read ({reason})", remedy) from None
    key = private_key_of(text, "--key-file")
    return mint(key, subject, roles, now=time.time(), lifetime=seconds, issuer=issuer, audience=audience)


def new_api_key() -> str:
    """A key that nobody can guess."""
    key = f"ccg_{secrets.token_urlsafe(32)}"
    assert API_KEY.fullmatch(key)  # noqa: S101 - what is written here is recognised there
    return key


def section_for(key: str, name: str, subject: str, roles: Sequence[str]) -> str:
    """The section of the settings that lets the holder of ``key`` in, as it can be appended to them.

    It holds the key's hash alone. Raises ``SettingsError`` for what the settings would not take.
    """
    if not SITE_NAME.fullmatch(name):
        raise SettingsError(
            "--name", "is not a name of a section", "Use lower-case letters and digits, with a single '-' between them."
        )
    try:
        ApiKeySettings(hash=hash_of(key), subject=subject, roles=tuple(roles))  # type: ignore[arg-type,call-arg]
    except ValidationError as error:
        option = "--subject" if error.errors()[0]["loc"][:1] == ("subject",) else "--roles"
        remedy = "A subject has letters, digits and . _ @ : | + / = ~ -; the roles are " + ", ".join(get_args(Role)) + "."
        raise SettingsError(option, "is not one that a caller can have", remedy) from None
    listed = ", ".join(f'"{role}"' for role in roles)
    comment = "# the key itself stands nowhere, and cannot be shown again"
    return f'\n{comment}\n[api_keys.{name}]\nhash = "{hash_of(key)}"\nsubject = "{subject}"\nroles = [{listed}]'
