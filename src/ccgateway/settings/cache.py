"""``[cache]``: what is remembered of the sites' answers, for how long, and where."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from ccgateway.errors import SettingsError
from ccgateway.settings.base import Frozen, Seconds, refuse_exposed

__all__ = ["CacheSettings"]


class CacheSettings(Frozen):
    """``[cache]``: without a Redis and with ``memory_bytes = 0`` nothing is remembered."""

    memory_bytes: int = Field(
        256 << 20, ge=0, description="Bytes of answers kept in each process; 0 keeps none, and without a Redis nothing is cached."
    )
    redis_url: SecretStr | None = Field(
        None, description="URL of the Redis that all processes share; by environment variable only."
    )
    redis_url_file: Path | None = Field(None, description="File that holds the URL of the Redis that all processes share.")
    redis_ca_file: Path | None = Field(None, description="PEM file of the authority that signed Redis's certificate.")
    redis_prefix: str = Field(
        "ccgateway",
        pattern=r"^[a-z0-9-]+$",
        description="First part of every name in Redis; gateways with other sites need another one.",
    )
    redis_connections: int = Field(16, ge=1, le=256, description="Connections of each process to Redis.")
    redis_connect_timeout: Seconds = Field(1.0, description="Seconds for a connection to Redis to open, within `redis_timeout`.")
    redis_timeout: Seconds = Field(0.5, description="Seconds Redis may take for an answer; then the gateway goes on without it.")
    redis_slow: Seconds = Field(
        0.1,
        description="Seconds from which on an answer of Redis is a slow one, in tenths of `redis_timeout`; after eight slow ones "
        "in a row the gateway goes on without it until it is quicker.",
    )
    redis_retry_after: Seconds = Field(3.0, description="Longest pause, in seconds, between tries to reach a Redis that failed.")
    lock_timeout: float = Field(
        5.0, ge=0.1, le=300, description="Seconds that others wait for an answer if the process that fetches it dies."
    )
    fill_timeout: Seconds = Field(30.0, description="Seconds that one fetch may take, whoever waits for it.")
    refreshes: int = Field(8, ge=0, description="Fetches in the background at any one time.")
    ended_for: float = Field(
        86_400.0,
        ge=0,
        le=604_800,
        description="Seconds for which the metrics of an ended, archived job are served.",
    )
    running_for: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="Seconds for which the metrics of any other job are served as they are; at most one sampling interval.",
    )
    stale_for: float = Field(
        30.0, ge=0, le=3600, description="Seconds more for which these are served while they are fetched anew."
    )
    absent_for: float = Field(
        30.0, ge=0, le=3600, description="Seconds for which a metric that the site does not have is not asked for."
    )
    clusters_for: float = Field(300.0, ge=0, le=86_400, description="Seconds for which a site's clusters and users are served.")
    list_for: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Seconds for which pages of a site's job list, and which job an id is, are served; 0 asks every time.",
    )

    @property
    def is_on(self) -> bool:
        """Whether anything is remembered."""
        return self.memory_bytes > 0 or self.has_redis

    @property
    def has_redis(self) -> bool:
        """Whether a Redis is named."""
        return self.redis_url is not None or self.redis_url_file is not None

    def check_workers(self, workers: int, *, take_writes: bool) -> None:
        """Refuses several processes that could not tell one another of writes, of what is cached or of idempotency keys
        (``SettingsError``)."""
        if workers > 1 and not self.has_redis and (self.is_on or take_writes):
            raise SettingsError(
                "cache.redis_url_file",
                f"no Redis is configured, so {workers} workers would not learn of one another's writes",
                "Name a Redis, or serve with one worker, or let nothing be kept and written (cache.memory_bytes = 0, "
                "writes.enabled = false).",
            )

    def read_redis_url(self) -> SecretStr | None:
        """The URL from wherever the settings say it is; ``None`` if they name none.

        Raises ``SettingsError`` when the file that they name cannot be read or is empty.
        """
        if self.redis_url is not None or self.redis_url_file is None:
            return self.redis_url
        try:
            refuse_exposed(self.redis_url_file, "cache.redis_url_file")
            text = self.redis_url_file.read_text().strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            problem = f"{self.redis_url_file} cannot be read ({reason})"
            raise SettingsError("cache.redis_url_file", problem, _REDIS_REMEDY) from None
        if not text:
            raise SettingsError("cache.redis_url_file", f"{self.redis_url_file} is empty", _REDIS_REMEDY)
        return SecretStr(text)


_REDIS_REMEDY = "Put the URL of the Redis into that file, readable by the gateway alone, or take the setting away."
