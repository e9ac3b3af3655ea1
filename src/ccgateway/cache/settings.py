"""How the cache is to behave. No section of the operator's settings yet, as nothing uses the cache so far."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from ccgateway.errors import SettingsError
from ccgateway.settings import Seconds

__all__ = ["CacheSettings"]


class CacheSettings(BaseModel):
    """What is remembered of the sites' answers, for how long, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    memory_bytes: int = Field(256 << 20, ge=0, description="Bytes of answers kept in each process; 0 keeps none.")
    redis_url: SecretStr | None = Field(None, description="URL of the Redis that all processes share (it may hold a password).")
    redis_url_file: Path | None = Field(None, description="File that holds the URL of the Redis that all processes share.")
    redis_ca_file: Path | None = Field(None, description="PEM file of the authority that signed Redis's certificate.")
    redis_prefix: str = Field(
        "ccgateway",
        pattern=r"^[a-z0-9-]+$",
        description="First part of every name in Redis; gateways with other sites need another one.",
    )
    redis_connections: int = Field(16, ge=1, le=256, description="Connections of each process to Redis.")
    redis_connect_timeout: Seconds = Field(0.25, description="Seconds for a connection to Redis to open.")
    redis_timeout: Seconds = Field(0.5, description="Seconds Redis may take for an answer; then the gateway goes on without it.")
    redis_retry_after: Seconds = Field(3.0, description="Longest pause, in seconds, between tries to reach a Redis that failed.")
    lock_timeout: float = Field(
        5.0, ge=0.1, le=300, description="Seconds that others wait for an answer if the process that fetches it dies."
    )
    fill_timeout: Seconds = Field(30.0, description="Seconds that one fetch may take, whoever waits for it.")
    refreshes: int = Field(8, ge=0, description="Fetches in the background at any one time.")
    ended_for: float = Field(86_400.0, ge=0, description="Seconds for which what is known of an ended job is served.")
    running_for: float = Field(30.0, ge=0, description="Seconds for which what is known of a running job is served as it is.")
    stale_for: float = Field(
        30.0, ge=0, description="Seconds more for which what is known of a running job is served while it is fetched anew."
    )
    absent_for: float = Field(30.0, ge=0, description="Seconds for which a metric that the site does not have is not asked for.")
    clusters_for: float = Field(300.0, ge=0, description="Seconds for which a site's clusters and users are served.")
    list_for: float = Field(1.0, ge=0, le=60, description="Seconds for which a page of a site's job list is served.")

    def read_redis_url(self) -> SecretStr | None:
        """The URL from wherever the settings say it is; ``None`` if they name none.

        Raises ``SettingsError`` when the file that they name cannot be read or is empty.
        """
        if self.redis_url is not None or self.redis_url_file is None:
            return self.redis_url
        try:
            text = self.redis_url_file.read_text().strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            problem = f"{self.redis_url_file} cannot be read ({reason})"
            raise SettingsError("cache.redis_url_file", problem, _REDIS_REMEDY) from None
        if not text:
            raise SettingsError("cache.redis_url_file", f"{self.redis_url_file} is empty", _REDIS_REMEDY)
        return SecretStr(text)


_REDIS_REMEDY = "Put the URL of the Redis into that file, readable by the gateway, or take the setting away."
