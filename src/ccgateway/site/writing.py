"""One site as writes see it.

Every write to a job looks at it first (whose it is, whether it still is the one that is meant, whether it is so already), is sent
once, and is read back where the answer leaves a doubt. Writes to one job take turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import (
    ChangeUser,
    CreateUser,
    DeleteUser,
    NodeStates,
    OmitTagged,
    StartJob,
    StopJob,
    Target,
    WriteResult,
)
from ccgateway.site import accounts, editing, lifecycle, tagging
from ccgateway.site.exchange import CallContext
from ccgateway.site.instance import Instance
from ccgateway.site.keyed_lock import KeyedLock
from ccgateway.site.write_context import WriteContext

__all__ = ["Writer"]


class Writer:
    """The façade. Methods raise ``SiteError`` for what was not even sent; targets name a job by id or by their whole key."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._locks = KeyedLock()

    async def _write_context(self, context: CallContext) -> WriteContext:
        return await WriteContext.of(self.instance, context, self._locks)

    async def start(self, context: CallContext, command: StartJob) -> WriteResult:
        """Records a started job."""
        return await lifecycle.start(await self._write_context(context), command)

    async def stop(self, context: CallContext, target: Target, command: StopJob) -> WriteResult:
        """Records that a job ended. ``target`` may be a part of a key, if no job of it shows."""
        return await lifecycle.stop(await self._write_context(context), target, command)

    async def put_tags(self, context: CallContext, target: Target, tags: Sequence[Tag]) -> WriteResult:
        """Puts tags on a job."""
        return await tagging.put_tags(await self._write_context(context), target, tags)

    async def take_tags(self, context: CallContext, target: Target, tags: Sequence[Tag]) -> WriteResult:
        """Takes tags from a job."""
        return await tagging.take_tags(await self._write_context(context), target, tags)

    async def edit_meta(self, context: CallContext, target: Target, values: Mapping[str, str]) -> WriteResult:
        """Sets keys of a job's metadata."""
        return await editing.edit_meta(await self._write_context(context), target, values)

    async def delete(self, context: CallContext, target: Target, *, dry_run: bool) -> WriteResult:
        """Deletes a job."""
        return await editing.delete(await self._write_context(context), target, dry_run=dry_run)

    async def delete_before(
        self, context: CallContext, before: int, omit_tagged: OmitTagged, *, most: int, dry_run: bool
    ) -> WriteResult:  # fmt: skip
        """Deletes every job that started before; reads ``most`` jobs to count them."""
        return await editing.delete_before(await self._write_context(context), before, omit_tagged, most=most, dry_run=dry_run)

    async def tags(self, context: CallContext) -> list[Tag]:
        """The site's tags, with its own numbers."""
        return await tagging.tags_at(await self._write_context(context))

    async def create_tag(self, context: CallContext, tag: Tag) -> WriteResult:
        """Creates a tag."""
        return await tagging.create_tag(await self._write_context(context), tag)

    async def remove_tag(self, context: CallContext, tag: Tag, *, dry_run: bool) -> WriteResult:
        """Removes a tag altogether."""
        return await tagging.remove_tag(await self._write_context(context), tag, dry_run=dry_run)

    async def change_user(self, context: CallContext, command: ChangeUser) -> WriteResult:
        """Gives a user a role or project, or takes one."""
        return await accounts.change_user(await self._write_context(context), command)

    async def create_user(self, context: CallContext, command: CreateUser) -> WriteResult:
        """Creates a user."""
        return await accounts.create_user(await self._write_context(context), command)

    async def delete_user(self, context: CallContext, command: DeleteUser) -> WriteResult:
        """Deletes a user."""
        return await accounts.delete_user(await self._write_context(context), command)

    async def update_nodes(self, context: CallContext, command: NodeStates) -> WriteResult:
        """Passes on what the scheduler says of nodes."""
        return await accounts.update_nodes(await self._write_context(context), command)
