"""Every write: many orders at once, each with a result of its own, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccgateway.errors import Code, RequestError
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import DeleteBefore, EditMeta, RemoveTags, StartJob, StopJob, TagJob, Target, WriteResult

__all__ = ["WriteCall", "Writes"]


@dataclass(frozen=True, slots=True)
class WriteCall:
    """How the caller asks: under which request id it is told in the logs, and its idempotency key, if it sent one.

    The same key with the same orders gives the recorded results for a day, and sends nothing; with other orders it is refused
    (``CONFLICT``).
    """

    request_id: str
    idempotency_key: str | None = None


class Writes:
    """The use cases. Each gives one result for each order, in their order.

    Raise ``RequestError`` only for a call as a whole: too many orders, a caller who writes too much (``RATE_LIMITED``), an
    idempotency key that was used for something else (``CONFLICT``), sites that have to be named. Everything else is a result.
    ``dry_run`` sends nothing: what would be deleted is ``UNCHANGED`` with a message.
    """

    async def start_jobs(self, jobs: Sequence[StartJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Records started jobs. ``PENDING`` (with key, without id) while a site of release 1.5 has not committed one."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")

    async def stop_jobs(self, orders: Sequence[StopJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Records that jobs have ended. A job that was stopped otherwise already is a ``CONFLICT``."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")

    async def tag_jobs(self, orders: Sequence[TagJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Puts tags on jobs; a tag that does not exist is created. ``UNCHANGED`` if a job has all of them."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")

    async def untag_jobs(self, orders: Sequence[TagJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Takes tags from jobs. ``UNCHANGED`` if a job has none of them."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")

    async def edit_meta(self, orders: Sequence[EditMeta], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Sets keys of jobs' metadata. ``UNCHANGED`` if all of them have these values."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")

    async def delete_jobs(
        self, targets: Sequence[Target], caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """Deletes jobs. ``NOT_FOUND`` for one that is not there."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")

    async def delete_jobs_before(
        self, order: DeleteBefore, caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """One result for each site, with ``count`` where the site tells it; a dry run counts."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")

    async def remove_tags(
        self, order: RemoveTags, caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """One result for each site and tag, sites by number, tags in their order."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")

    async def create_tag(self, tag: Tag, sites: Sequence[str] | None, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Creates a tag at the sites (``None``: all), without putting it on a job. One result for each site."""
        raise RequestError(Code.UNSUPPORTED, "Not yet.")
