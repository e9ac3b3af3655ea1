"""What all sections share: frozen values, where a secret is found, whose files are whose business."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from ccgateway.errors import SettingsError

__all__ = [
    "Frozen", "Partial", "Seconds", "SecretPlace", "alterable_by_others", "exposed_to", "is_loopback", "read_pem",
    "refuse_alterable", "refuse_exposed",
]  # fmt: skip

Seconds = Annotated[float, Field(gt=0, le=3600)]
#: whether an answer from which a site is missing is given, or is an error
Partial = Literal["serve", "refuse"]


class Frozen(BaseModel):
    """A section: cannot change, has no keys but its own, and repeats no value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where the settings say that a secret is: in a variable of ours (``value``), a file, or a variable that they name.

    ``section`` and ``name`` make the keys: ``<section>.<name>``, ``…_file``, ``…_env``. ``what``: the secret in words. A file
    that others can read or alter is refused.
    """

    section: str
    name: str
    what: str
    value: SecretStr | None
    file: Path | None
    env: str | None

    @property
    def key(self) -> str | None:
        """The key that counts; ``None`` if none is set."""
        places = (("", self.value), ("_file", self.file), ("_env", self.env))
        return next((f"{self.section}.{self.name}{suffix}" for suffix, place in places if place is not None), None)

    def read(self, *, many_lines: bool = False) -> SecretStr | None:
        """The secret; ``None`` if the settings name none. ``many_lines``: it may be more than one word (PEM).

        Raises ``SettingsError`` when a named file or variable is missing, empty or not one secret.
        """
        if self.value is not None:
            text, problem = self.value.get_secret_value(), "it is set, but empty"
        elif self.file is not None:
            text, problem = self._from_file(self.file), f"{self.file} is empty"
        elif self.env is not None:
            if _looks_like_a_token(self.env):
                raise _instead_of_its_place(
                    f"{self.section}.{self.name}_env", "the name of an environment variable that holds it"
                )
            text, problem = os.environ.get(self.env, ""), f"{self.env} is not set"
        else:
            return None
        text = text.strip()
        if not text:
            raise SettingsError(self.key or self.section, problem, f"Put {self.what} there.")
        if not text.isascii() or (not many_lines and any(c.isspace() for c in text)):
            remedy = f"It must hold {self.what} alone, on one line."
            raise SettingsError(self.key or self.section, "what stands there is not one secret", remedy)
        return SecretStr(text)

    def _from_file(self, path: Path) -> str:
        key = f"{self.section}.{self.name}_file"
        try:
            refuse_exposed(path, key)
            return path.read_text()
        except (OSError, ValueError) as error:
            if _looks_like_a_token(path.name):
                raise _instead_of_its_place(key, "the path of a file that holds it") from None
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            problem = f"{path} cannot be read ({reason})"
            raise SettingsError(key, problem, f"Put {self.what} into that file, readable by the gateway.") from None


def exposed_to(path: Path) -> str:
    """What others on this machine can do with a file that holds a secret, in words; empty if nothing. Raises ``OSError``.

    Its group may read it: that is how a file is given to a service, and what a mode looks like where an access list does it.
    """
    if altered := alterable_by_others(path):
        return altered
    return "can be read by everybody on this machine" if path.stat().st_mode & stat.S_IROTH else ""


def alterable_by_others(path: Path) -> str:
    """How others on this machine can change what stands in a file, in words; empty if they cannot. Raises ``OSError``.

    Links are followed, as secrets are mounted by links. Root may own anything.
    """
    found, folder = path.stat(), path.resolve().parent.stat()
    trusted = {0, os.geteuid()}
    if found.st_uid not in trusted:
        return "belongs to another user"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be altered by others on this machine"
    is_shared = folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX
    if is_shared or folder.st_uid not in trusted:
        return "lies in a folder in which others can put another file in its place"
    return ""


def refuse_exposed(path: Path, key: str) -> None:
    """Raises ``SettingsError`` for a file with a secret that others can read or alter, ``OSError`` if it cannot be looked at."""
    if exposed := exposed_to(path):
        remedy = f"Let it belong to the user who runs the gateway (or root), chmod 600 {path}, and replace what stands in it."
        raise SettingsError(key, f"{path} {exposed}", remedy)


def refuse_alterable(path: Path, key: str) -> None:
    """Raises ``SettingsError`` for a file with what is believed (a public key, authorities) that others can alter, ``OSError``
    if it cannot be looked at."""
    if altered := alterable_by_others(path):
        raise SettingsError(
            key, f"{path} {altered}", f"Let it belong to the user who runs the gateway (or root), chmod 644 {path}."
        )


def read_pem(path: Path, key: str, *, is_secret: bool) -> bytes:
    """A PEM file as it is; one with a secret must be nobody else's to read. Raises ``SettingsError`` naming ``key``."""
    try:
        if is_secret:
            refuse_exposed(path, key)
        text = path.read_bytes()
    except OSError as error:
        remedy = "Name a file that the gateway can read."
        raise SettingsError(key, f"{path} cannot be read ({error.strerror})", remedy) from None
    if b"-----BEGIN " not in text:
        raise SettingsError(key, f"{path} is not PEM", "Put the key or certificate there in the form -----BEGIN …-----.")
    return text


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that host."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _looks_like_a_token(text: str) -> bool:
    return len(text) > 40 and text.count(".") >= 2


def _instead_of_its_place(key: str, place: str) -> SettingsError:
    remedy = f"Give {place}; and replace the token, as this file may have been read."
    return SettingsError(key, "looks like the token itself (it is not shown)", remedy)
