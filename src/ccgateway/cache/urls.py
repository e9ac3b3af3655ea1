"""What a Redis URL means, and the client for it.

::

    redis://[user:password@]host[:6379][/database]
    redis+sentinel://[user:password@]host[:26379],host[:26379]/master[/database]
    redis+cluster://[user:password@]host[:6379],host[:6379]

``rediss`` instead of ``redis`` is TLS, the server's name checked. ``sentinel_user`` and ``sentinel_password`` may stand in the
query of a Sentinel URL. A URL that cannot be used is refused without showing it: it may hold a password.

redis-py's own parser does not do for this, not even for one host: it makes an option of every parameter after ``?``
(``ssl_cert_reqs=none`` turns the check of certificates off), passes over a path that is no number, and knows neither several
hosts nor Sentinels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast
from urllib.parse import parse_qsl, unquote

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from ccgateway.errors import SettingsError
from ccgateway.settings import CacheSettings

__all__ = ["Client", "Pipeline", "Target", "parse_url"]

Kind = Literal["standalone", "sentinel", "cluster"]

_KEY = "cache.redis_url"
_REMEDY = (
    "Use redis://host:6379/0, redis+sentinel://host:26379,host:26379/master/0 or redis+cluster://host:6379,host:6379 "
    "(rediss… for TLS), with user:password@ before the hosts where needed."
)
_URL = re.compile(r"(rediss?)(\+sentinel|\+cluster)?://(?:([^@/?#]*)@)?([^@/?#]+)(/[^?#]*)?(?:\?([^#]*))?")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+))(?::(\d{1,5}))?")


class Pipeline(Protocol):
    """What is used of redis-py's pipelines."""

    def execute_command(self, *args: Any) -> Any:
        """Queues a command."""
        ...

    async def execute(self, raise_on_error: bool = ...) -> list[Any]:  # noqa: FBT001
        """Sends what is queued; one reply for each command."""
        ...


class Client(Protocol):
    """What is used of redis-py's clients."""

    def pipeline(self, transaction: bool = ...) -> Pipeline:  # noqa: FBT001
        """A new pipeline."""
        ...

    def scan_iter(self, match: str, count: int) -> Any:
        """The names that match."""
        ...

    async def aclose(self) -> None:
        """Closes all connections."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where Redis is. Its ``repr`` and ``str`` hold no password."""

    kind: Kind
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    master: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        scheme = ("rediss" if self.tls else "redis") + ("" if self.kind == "standalone" else f"+{self.kind}")
        user = f"{self.user or ''}:***@" if self.password is not None else ""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        path = {"standalone": f"/{self.database}", "sentinel": f"/{self.master}/{self.database}", "cluster": ""}[self.kind]
        return f"{scheme}://{user}{hosts}{path}"

    def connect(self, settings: CacheSettings) -> Client:
        """A client; nothing is sent before its first command."""
        timeout, ca_file = settings.redis_timeout, settings.redis_ca_file
        options: dict[str, Any] = {
            "username": self.user,
            "password": self.password,
            "socket_connect_timeout": settings.redis_connect_timeout,
            # the connection limits each pipeline as a whole; this is for what goes on behind its back
            "socket_timeout": 10 * timeout,
            # once more on a connection that has gone stale; a time-out is not tried again
            "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            # the second protocol saves a round trip, and every server speaks it
            "protocol": 2,
            "driver_info": None,
        }
        tls: dict[str, Any] = {"ssl": True, "ssl_check_hostname": True} if self.tls else {}
        if self.tls and ca_file is not None:
            tls["ssl_ca_certs"] = str(ca_file)
        if self.kind == "cluster":
            nodes = [ClusterNode(host, port) for host, port in self.hosts]
            options["retry"] = Retry(NoBackoff(), 0)
            return cast(Client, RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options, **tls))
        if self.kind == "standalone":
            ((host, port),) = self.hosts
            return cast(Client, Redis(host=host, port=port, db=self.database, **options, **tls))
        asking = options | tls | {"username": self.sentinel_user, "password": self.sentinel_password}
        asking["socket_timeout"] = timeout / len(self.hosts)  # so that there is time to ask each
        sentinel = Sentinel(self.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        return cast(Client, _SentinelClient(sentinel, sentinel.master_for(self.master, db=self.database, **options, **tls)))


class _SentinelClient:
    """A client of the master that the Sentinels name; closes the Sentinels' connections as well."""

    def __init__(self, sentinel: Sentinel, master: Redis) -> None:
        self._sentinel, self._master = sentinel, master

    def __getattr__(self, name: str) -> Any:
        return getattr(self._master, name)

    async def aclose(self) -> None:
        try:
            await self._master.aclose()
        finally:
            await self._sentinel.aclose()


def parse_url(url: str) -> Target:
    """What the URL means. Raises ``SettingsError``, which does not show it."""
    found = _URL.fullmatch(url.strip())
    if not found:
        raise SettingsError(_KEY, "is not a Redis URL", _REMEDY)
    scheme, kind_text, credentials, hosts_text, path, query = found.groups()
    kind = cast(Kind, kind_text[1:] if kind_text else "standalone")
    hosts = tuple(_host(text, 26379 if kind == "sentinel" else 6379) for text in hosts_text.split(","))
    if kind == "standalone" and len(hosts) > 1:
        raise SettingsError(_KEY, "names several hosts", _REMEDY)
    parts = [unquote(part) for part in (path or "").split("/") if part]
    master = ""
    if kind == "sentinel":
        if not parts:
            raise SettingsError(_KEY, "does not name the master that the Sentinels watch", _REMEDY)
        master = parts.pop(0)
    if len(parts) > (kind != "cluster") or not all(part.isdecimal() for part in parts):
        raise SettingsError(_KEY, "does not end as it should", _REMEDY)
    user, password = _credentials(credentials)
    extra = _query(query, ("sentinel_user", "sentinel_password") if kind == "sentinel" else ())
    return Target(
        kind, scheme == "rediss", hosts, int(parts[0]) if parts else 0, master, user, password,
        extra.get("sentinel_user"), extra.get("sentinel_password"),
    )  # fmt: skip


def _host(text: str, port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if not found or not 0 < int(found[3] or port) < 1 << 16:
        raise SettingsError(_KEY, "has no proper host or port", _REMEDY)
    return found[1] or found[2], int(found[3] or port)


def _credentials(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    user, colon, password = text.partition(":")
    if not colon:
        raise SettingsError(_KEY, "has a user without a password", _REMEDY)
    return unquote(user) or None, unquote(password)


def _query(text: str | None, allowed: tuple[str, ...]) -> Mapping[str, str]:
    pairs = dict(parse_qsl(text or "", keep_blank_values=True))
    if any(name not in allowed for name in pairs):
        raise SettingsError(_KEY, "has parameters after '?' that are not known", _REMEDY)
    return pairs
