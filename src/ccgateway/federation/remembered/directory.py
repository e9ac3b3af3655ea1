"""Sites' clusters and users: long lists that hardly change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from ccgateway import __version__
from ccgateway.cache.entries import Entry, Filled
from ccgateway.cache.keys import Key
from ccgateway.federation.remembered.shelf import CLUSTERS, USERS, Shelf, audience_of, person_of
from ccgateway.jobs.clusters import Cluster, User
from ccgateway.site.exchange import Visit
from ccgateway.site.instance import Instance

__all__ = ["Directory"]

T = TypeVar("T")


class Directory:
    """Asks for them as ``Instance`` does, and raises as it does."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def clusters(self, instance: Instance, visit: Visit, *, with_partitions: bool) -> list[Cluster]:
        """The site's clusters; their partitions only if asked for."""

        async def ask(visit: Visit) -> list[Cluster]:
            return await instance.clusters(visit, with_partitions=with_partitions)

        return await self._get(instance, visit, (CLUSTERS, "partitions" if with_partitions else ""), list[Cluster], ask)

    async def users(self, instance: Instance, visit: Visit) -> list[User]:
        """The site's user table."""
        return await self._get(instance, visit, (USERS, ""), list[User], instance.users)

    async def _get(
        self,
        instance: Instance,
        visit: Visit,
        what: tuple[str, str],
        kind: type[list[T]],
        ask: Callable[[Visit], Awaitable[list[T]]],
    ) -> list[T]:
        # who lists users, a site may decide by its own table: that one token is accepted says nothing of another
        whose = person_of if what[0] == USERS else audience_of
        audience, life = whose(visit.credential), self._shelf.lives.clusters_for
        if audience is None or not self._shelf.is_used or not life:
            return await ask(visit)
        # another release of this gateway may write them differently
        key = Key(instance.name, what[0], audience, what[1], __version__)

        async def fill(keys: Sequence[Key], visit: Visit) -> Mapping[Key, Filled]:
            found = await ask(visit)
            # a site without clusters or users is more likely one that is about to get them
            return dict.fromkeys(keys, Filled(msgspec.msgpack.encode(found), life if found else 0.0))

        seen: list[tuple[bytes, list[T]]] = []

        def read(_key: Key, entry: Entry) -> object:
            seen.append((entry.payload, msgspec.msgpack.decode(entry.payload, type=kind)))
            return None

        hit = (await self._shelf.fetch([key], fill, visit, within=instance.settings.timeout, read=read))[key]
        known = next((found for payload, found in seen if payload is hit.payload), None)
        return msgspec.msgpack.decode(hit.payload, type=kind) if known is None else known
