"""The file of people's own tokens and names at the sites, read again when it changes.

TOML: subject → site → what is known of that person there. All three keys may be left out::

    [alice.aurora]
    user = "a.meier"
    roles = ["user"]
    token = "eyJ…"

Taking an entry out takes it away from the person within a second. For the same reason nobody gets any token while the table
cannot be read, is open to others on the machine, or is not what it should be: what it takes away is not known then.
"""

from __future__ import annotations

import asyncio
import logging
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from pydantic import SecretStr

from ccgateway.errors import SettingsError
from ccgateway.identity.claims import user_name
from ccgateway.identity.roles import Role
from ccgateway.settings.base import exposed_to
from ccgateway.site.credentials.credential import Credential

__all__ = ["Entry", "TableError", "TokenTable", "read_table"]

log = logging.getLogger("ccgateway.credentials")

#: seconds between two looks at whether the file has changed
LOOK_EVERY = 1.0
#: bytes of the file: some ten thousand people
MOST_BYTES = 16 << 20


class TableError(Exception):
    """The table cannot be used. The message says where and why, without what stands there. ``may_pass``: it may be well though
    the file stays as it is."""

    def __init__(self, message: str = "", *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


@dataclass(frozen=True, slots=True)
class Entry:
    """What the table says of one person at one site; ``None`` where it says nothing. ``own``: what the person's token makes."""

    user: str | None
    roles: frozenset[Role] | None
    own: Credential | None


Entries: TypeAlias = Mapping[tuple[str, str], Entry]


class _Raw(msgspec.Struct, forbid_unknown_fields=True):
    user: str | None = None
    roles: list[Role] | None = None
    token: str | None = None


def read_table(path: Path) -> Entries:
    """The entries by (subject, site). Raises ``TableError``."""
    try:
        if exposed := exposed_to(path):
            raise TableError(f"it {exposed}")
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TableError(f"it cannot be read ({error.strerror})", may_pass=True) from None
    if len(text) > MOST_BYTES:
        raise TableError(f"it has more than {MOST_BYTES} bytes")
    try:
        told: dict[str, Any] = tomllib.loads(text.decode())
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"it is not valid TOML ({error})") from None
    except (UnicodeDecodeError, RecursionError):
        raise TableError("it is not valid TOML") from None
    found: dict[tuple[str, str], Entry] = {}
    for subject, sites in told.items():
        for site, section in sites.items() if isinstance(sites, dict) else (("", None),):
            found[subject, site] = _entry(section, f"[{subject}.{site}]" if site else subject)
    return found


def _entry(section: object, where: str) -> Entry:
    try:
        raw = msgspec.convert(section, _Raw)
    except msgspec.ValidationError:
        raise TableError(f"{where[:100]} is not understood: it may have user, roles and token") from None
    if raw.user is not None and user_name(raw.user) is None:
        raise TableError(f"{where[:100]}: user is not a user's name")
    if raw.token is not None and (not raw.token.isascii() or not raw.token or any(c.isspace() for c in raw.token)):
        raise TableError(f"{where[:100]}: token is not one token")
    own = Credential.from_token(SecretStr(raw.token)) if raw.token is not None else None
    if own is not None and own.user is None:
        own = replace(own, user=raw.user, is_named=False)
    return Entry(raw.user, frozenset(raw.roles) if raw.roles is not None else None, own)


class TokenTable:
    """The table at ``path``. Raises ``SettingsError`` if it cannot be used when the gateway starts."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._looked_at = float("-inf")
        self._seen = self._state()
        self._reading = asyncio.Lock()
        self._entries: Entries | None = None
        #: why it cannot be used, as it was said
        self._told = ""
        try:
            self._entries = read_table(path)
        except TableError as error:
            remedy = "Correct the file; it needs mode 600 and the form that docs/operate/identities.md shows."
            raise SettingsError("identities.table", f"{path}: {error}", remedy) from None

    @property
    def entries(self) -> Entries:
        """All that it said when it was last read."""
        return self._entries or {}

    async def entry(self, subject: str, site: str) -> Entry | None:
        """What it says of that person there, by what stands in the file now. Raises ``TableError`` while that is not usable."""
        if self._clock() - self._looked_at >= LOOK_EVERY:
            async with self._reading:
                await self._look()
        if self._entries is None:
            raise TableError
        return self._entries.get((subject, site))

    async def _look(self) -> None:
        if self._clock() - self._looked_at < LOOK_EVERY:
            return
        state = self._state()
        if state != self._seen:
            self._seen = state
            try:
                self._entries, self._told = await asyncio.to_thread(read_table, self._path), ""
            except TableError as error:
                self._entries = None
                if error.may_pass:
                    self._seen = None  # so that it is read again
                if self._told != str(error):
                    log.error("identities.table: %s: %s; nobody gets a token until it is corrected", self._path, error)  # noqa: TRY400
                self._told = str(error)
        self._looked_at = self._clock()

    def _state(self) -> tuple[int, ...] | None:
        """What changes when the file does; ``None`` if it is not there."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
