"""``[server]``: where the gateway listens, with how many processes, and how it ends."""

from __future__ import annotations

import re
import ssl
from ipaddress import ip_network
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from ccgateway.errors import SettingsError
from ccgateway.settings.base import Frozen, is_loopback
from ccgateway.settings.tls import KeyPair

__all__ = ["UNIX", "ServerSettings"]

#: stands, among the trusted proxies, for whoever comes through a Unix socket
UNIX = "unix"


class ServerSettings(Frozen):
    """``[server]``: where the gateway listens."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    unix_socket: Path | None = Field(
        None, description="Unix socket to listen on, instead of host and port; its owner and group may connect."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that answer: as many as there are cores for it.")
    serve_unauthenticated: bool = Field(
        default=False,
        description="Say true only if everybody who can reach this address may read everything the site tokens can: "
        "without it the gateway refuses to listen anywhere but on loopback.",
    )
    compression: bool = Field(
        default=True,
        description="Pack answers of 4 KB and more with gzip or zstd for callers who accept that; say false where a proxy in "
        "front of the gateway does it, or where processor time is dearer than bandwidth.",
    )
    graphiql: bool = Field(default=True, description="Serve the GraphiQL page to browsers that open /graphql.")
    cors_origins: tuple[str, ...] = Field(
        default=(),
        description="Origins whose pages may use GraphQL, REST and exports, with tokens of their own, such as "
        '"https://portal.example.org"; "*" is any.',
    )
    tls_cert: Path | None = Field(
        None, description="PEM file of the certificate, with those between it and its authority. Without it there is no TLS."
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key.")
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses and networks of proxies that are believed what they say of the caller (X-Forwarded-For, "
        'X-Forwarded-Proto); "unix" is whoever comes through the Unix socket.',
    )
    root_path: str = Field("", description="Path under which a proxy shows the gateway, if it takes it away: such as /gateway.")
    drain: float = Field(
        5.0,
        ge=0,
        le=300,
        description="Seconds after SIGTERM in which everything is still answered while /health/ready says 503, so that who sends "
        "requests here can turn to others.",
    )
    grace: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="Seconds that requests under way get to end after that; unset: five more than limits.request_timeout.",
    )
    control_socket: Path | None = Field(
        None,
        description="Unix socket for `ccgateway reload`; unset: one in the runtime directory, named after the settings file.",
    )

    @field_validator("cors_origins")
    @classmethod
    def _plain_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one != "*" and not re.fullmatch(r"https?://[^/?#\s@]+", one):
                raise ValueError(f"has {one[:60]!r}, which is not of the form https://host[:port]")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one == UNIX:
                continue
            try:
                ip_network(one)
            except ValueError:
                raise ValueError(f'has {one[:60]!r}, which is neither an address, a network nor "{UNIX}"') from None
        return value

    @field_validator("root_path")
    @classmethod
    def _plain_path(cls, value: str) -> str:
        if value and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value):
            raise ValueError("needs the form /path, without a slash at its end")
        return value

    @model_validator(mode="after")
    def _key_and_certificate(self) -> Self:
        if (self.tls_cert is None) is not (self.tls_key is None):
            missing = "tls_cert" if self.tls_cert is None else "tls_key"
            raise SettingsError(f"server.{missing}", "is missing", "Name both the certificate and its key, or neither.")
        return self

    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return self.unix_socket is not None or is_loopback(self.host)

    def read_tls(self) -> KeyPair | None:
        """The certificate and its key; ``None`` without TLS. Raises ``SettingsError`` for files that cannot be used."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return KeyPair.read(("server.tls_cert", self.tls_cert), ("server.tls_key", self.tls_key))

    def tls_context(self) -> ssl.SSLContext | None:
        """What speaks TLS to callers; ``None`` without TLS. Raises as ``read_tls``."""
        pair = self.read_tls()
        if pair is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        pair.show_in(context)
        return context
