"""A certificate and its key, read from their files at one moment: checked then, and shown from then on."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509

from ccgateway.errors import SettingsError
from ccgateway.settings.base import read_pem

__all__ = ["KeyPair"]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """``certificate``: with those between it and its authority; ``key``: its private key. Both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    @classmethod
    def read(cls, certificate: tuple[str, Path], key: tuple[str, Path]) -> KeyPair:
        """What stands in these files, each with the setting that names it. Raises ``SettingsError`` for files that cannot be
        used, among them a key that others can read, and one of another certificate."""
        pair = cls(
            key=read_pem(key[1], key[0], is_secret=True), certificate=read_pem(certificate[1], certificate[0], is_secret=False)
        )
        try:
            pair.show_in(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except (ssl.SSLError, OSError, ValueError):
            problem = f"{certificate[1]} and {key[1]} are not a certificate and its key"
            raise SettingsError(key[0], problem, "Name the key that the certificate was made for, unencrypted.") from None
        return pair

    def expires(self) -> datetime:
        """When the certificate does; of those with it, some may be for old clients only."""
        return x509.load_pem_x509_certificates(self.certificate)[0].not_valid_after_utc

    def show_in(self, context: ssl.SSLContext) -> None:
        """Has ``context`` show the certificate from now on."""
        with _file_of(self.key + b"\n" + self.certificate) as path:
            # a key with a passphrase is refused, not asked for at a terminal
            context.load_cert_chain(path, password=lambda: b"")


@contextmanager
def _file_of(text: bytes) -> Iterator[str]:
    """``text`` as a file for a moment, as a context reads nothing else: in memory alone where the system has that."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("pair")
        try:
            Path(f"/proc/self/fd/{number}").write_bytes(text)
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
        return
    with NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        yield file.name
