"""Text that a caller carries but must not read, such as a cursor that would name somebody else's job."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Seal"]

_NONCE = 12
#: keys of before that texts are still opened with
_EARLIER = 3
#: no plain cursor holds one
_MARK = "s."


class Seal:
    """Closes and opens short texts with a key made of ``material``.

    Processes with the same material open one another's; with none, nobody but this one does. ``before``: the seal that this one
    takes the place of; what that closed, or those shortly before it, is opened as well.
    """

    def __init__(self, material: Iterable[bytes] = (), before: Seal | None = None) -> None:
        key = blake2b(digest_size=32, person=b"ccgateway-seal")
        parts = sorted(material) or [secrets.token_bytes(32)]
        for part in parts:
            key.update(len(part).to_bytes(8) + part)
        digest = key.digest()
        earlier = before._keys if before is not None else ()
        self._keys: tuple[bytes, ...] = (digest, *(one for one in earlier if one != digest))[: 1 + _EARLIER]
        self._ciphers = [AESGCM(one) for one in self._keys]

    def __repr__(self) -> str:
        return "Seal()"

    def close(self, text: str) -> str:
        """``text`` unreadable, in characters that a URL can hold; of one length for texts of one length."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[0].encrypt(nonce, text.encode(), None)
        return _MARK + base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def open(self, text: str) -> str:
        """What was closed; anything else as it is, so that whoever reads it next says what is wrong with it."""
        if not text.startswith(_MARK) or len(text) > 4096:
            return text
        coded = text[len(_MARK) :]
        try:
            sealed = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return text
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None).decode()
            except (ValueError, InvalidTag):
                continue
        return text
