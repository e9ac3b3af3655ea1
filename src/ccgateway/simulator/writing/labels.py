"""Tags on jobs: who may write which, and what becomes of it.

Common to REST and GraphQL: :func:`put_on` and :func:`take_off` change the database first and the job's archive entry after
it, so that :class:`LabelError` can mean that nothing happened or that all did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccgateway.simulator.gate import Principal
from ccgateway.simulator.job import Job, Tag

if TYPE_CHECKING:
    from ccgateway.simulator.backend import Backend

__all__ = ["ON_IT_ALREADY", "TAKEN", "LabelError", "may_label_by_graphql", "may_label_by_rest", "put_on", "take_off"]

ON_IT_ALREADY = "UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id"
TAKEN = "UNIQUE constraint failed: tag.tag_type, tag.tag_name"


class LabelError(Exception):
    """What the site says; the tag may be on (or off) the job all the same."""


def may_label_by_rest(who: Principal, scope: str) -> bool:
    """Whether *who* may put tags of *scope* on jobs through the REST interface."""
    if scope == "global":
        return who.has("admin", "support") or who.only_api
    if scope == "admin":
        return who.has("admin") or who.only_api
    return scope == who.subject


def may_label_by_graphql(who: Principal, scope: str) -> bool:
    """The same through GraphQL, where the role ``api`` counts for nothing."""
    if scope == "global":
        return who.has("admin", "support")
    if scope == "admin":
        return who.has("admin")
    return scope == who.subject


def put_on(backend: Backend, job: Job, tag: Tag) -> Job:
    """Put *tag* on *job*.

    Raises:
        LabelError: it is on it already, or it is now and the archive entry could not be changed.
    """
    if any(t.id == tag.id for t in job.tags):
        raise LabelError(ON_IT_ALREADY)
    tagged = backend.changes.tag(job, tag)
    _entry_changed(backend, tagged)
    return tagged


def take_off(backend: Backend, job: Job, tag: Tag) -> Job:
    """Take *tag* off *job*; it need not be on it.

    Raises:
        LabelError: it is off, and the archive entry could not be changed.
    """
    untagged = backend.changes.untag(job, tag)
    _entry_changed(backend, untagged)
    return untagged


def _entry_changed(backend: Backend, job: Job) -> None:
    missing = backend.archive.entry_missing(job)
    if missing is not None:
        raise LabelError(missing)
