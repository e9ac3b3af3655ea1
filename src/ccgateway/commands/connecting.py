"""Where the gateway is and who asks: from options, environment, a file of profiles, and the keyring.

A token goes to the address that it belongs to: one of a profile is not sent to another address than the profile's. None is taken
from the command line, which everybody on the machine can read.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from ccgateway.commands.ending import note

if TYPE_CHECKING:
    from ccgateway.client import Gateway

__all__ = ["Profile", "Source", "profiles_file", "read_profile"]

#: the keyring's word for us
SERVICE = "ccgateway"
LARGEST_FILE = 1 << 16
_KEYS = ("url", "token_file", "ca_file")


def profiles_file() -> Path:
    """The file of profiles."""
    named = os.environ.get("CCGATEWAY_PROFILES")
    return Path(named) if named else Path(typer.get_app_dir("ccgateway")) / "profiles.toml"


@dataclass(frozen=True, slots=True)
class Profile:
    """One section of that file."""

    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None


def read_profile(path: Path, name: str | None) -> Profile:
    """That section, or ``default``. Raises ``ValueError`` for a file that is none, and for a section that is not there."""
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        sections = {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no file of profiles: {error}") from None
    found = sections.get(name or "default")
    if found is None:
        if name is not None:
            raise ValueError(f"there is no profile {name} in {path}")
        return Profile()
    if not isinstance(found, Mapping) or any(key not in _KEYS or not isinstance(text, str) for key, text in found.items()):
        raise ValueError(f"{path}: a profile has {', '.join(_KEYS)}, which are texts, and nothing else")
    try:
        files = {key: (path.parent / Path(found[key]).expanduser()) for key in ("token_file", "ca_file") if key in found}
    except RuntimeError:
        raise ValueError(f"{path}: a path names a home directory that does not exist") from None
    return Profile(found.get("url"), files.get("token_file"), files.get("ca_file"))


@dataclass(frozen=True, slots=True)
class Source:
    """What the options say: address, profile, file with the token, seconds of one request."""

    url: str | None
    profile: str | None
    token_file: Path | None
    timeout: float
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def gateway(self) -> Gateway:
        """The gateway that is meant. Raises ``ValueError`` where nothing says which."""
        from ccgateway.client import Gateway

        profile = read_profile(profiles_file(), self.profile or self.environment.get("CCGATEWAY_PROFILE") or None)
        # who names a profile means it: the environment's address is for those who name none
        from_environment = None if self.profile is not None else self.environment.get("CCGATEWAY_URL")
        url = self.url or from_environment or profile.url
        if not url:
            raise ValueError(f"where is the gateway? Say --url, set CCGATEWAY_URL, or write url into {profiles_file()}")
        token = self._token(url, profile)
        if token is not None and not _is_private(url):
            note(f"note: the token goes to {urlsplit(url).hostname} without encryption, as the address is not https")
        verify: bool | str = str(profile.ca_file) if profile.ca_file is not None and url == profile.url else True
        return Gateway(url, token=token, timeout=self.timeout, verify=verify)

    def _token(self, url: str, profile: Profile) -> str | None:
        if self.token_file is not None:
            return _token_in(self.token_file)
        if told := self.environment.get("CCGATEWAY_TOKEN"):
            return told.strip()
        if profile.token_file is not None and url == profile.url:
            return _token_in(profile.token_file)
        return _token_of_keyring(url)


def _is_private(url: str) -> bool:
    from ccgateway.client.sending import LOOPBACK

    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


def _token_in(path: Path) -> str:
    """The token in a file that nobody else can read. Raises ``ValueError`` for another file."""
    mode = path.stat().st_mode
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ValueError(f"{path} can be read by others: chmod 600 {path}")
    with path.open("rb") as file:
        text = file.read(LARGEST_FILE)
    try:
        token = text.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not token or len(token.split()) != 1:
        raise ValueError(f"{path} holds no token, or more than one")
    return token


def _token_of_keyring(url: str) -> str | None:
    """The token that ``keyring set ccgateway URL`` has kept; ``None`` where there is none, or no keyring.

    Raises ``ValueError`` for a keyring that is configured and cannot be used.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError:
        return None
    try:
        return keyring.get_password(SERVICE, url)
    except (KeyringError, RuntimeError, OSError):  # the latter where somebody has no home, or one that cannot be read
        return None
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # PYTHON_KEYRING_BACKEND or keyringrc.cfg
        raise ValueError(f"the keyring that is configured cannot be used ({error}): mend that, or say --token-file") from None
