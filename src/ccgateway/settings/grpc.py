"""``[grpc]``: the gRPC interface, on a port of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from ccgateway.errors import SettingsError
from ccgateway.settings.base import Frozen, Seconds, is_loopback
from ccgateway.settings.tls import KeyPair

__all__ = ["GrpcSettings"]


class GrpcSettings(Frozen):
    """``[grpc]``: off unless it has a port."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on for gRPC.")
    port: int | None = Field(
        None, ge=0, le=65535, description="Port to listen on for gRPC; 0 picks a free one. Left out: there is no gRPC."
    )
    cert_file: Path | None = Field(None, description="PEM file of the certificate, with those between it and its authority.")
    key_file: Path | None = Field(None, description="PEM file of the certificate's private key. Without both, there is no TLS.")
    reflection: bool = Field(default=True, description="Tell clients such as grpcurl what can be called (server reflection).")
    message_bytes: int = Field(
        32 << 20,
        ge=1 << 20,
        description="Largest answer in one message, in bytes; requests are bounded by limits.body_bytes. Clients take 4 MB "
        "unless they are told to take more.",
    )
    calls: int = Field(
        512,
        ge=1,
        description="Calls by gRPC at any one time, in each process; more are refused. A caller may have as many as are left "
        "free: alone half of them.",
    )
    streams_per_caller: int = Field(
        32, ge=1, description="Streams of one caller at any one time, in each process; more are refused."
    )
    keep_alive: Seconds = Field(60.0, description="Seconds without traffic after which a client is asked whether it is there.")
    stalled_after: Seconds = Field(
        30.0, description="Seconds that a client may leave a message untaken; then its call ends. A stream can be taken up again."
    )
    drain: Seconds = Field(4.0, description="Seconds that calls under way get to end when the gateway stops.")

    @model_validator(mode="after")
    def _key_and_certificate(self) -> Self:
        if (self.cert_file is None) is not (self.key_file is None):
            missing = "cert_file" if self.cert_file is None else "key_file"
            raise SettingsError(f"grpc.{missing}", "is missing", "Name both the certificate and its key, or neither.")
        return self

    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.host)

    def read_tls(self) -> KeyPair | None:
        """The certificate and its key; ``None`` without TLS. Raises ``SettingsError`` for files that cannot be used."""
        if self.cert_file is None or self.key_file is None:
            return None
        return KeyPair.read(("grpc.cert_file", self.cert_file), ("grpc.key_file", self.key_file))
