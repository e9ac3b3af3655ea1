"""How jobs are started, stopped, tagged, edited and deleted, and users and nodes told of, release by release: requests, and what
the answers to them say.

Frozen values without I/O. Where a release offers the choice, a job is named by its key, which no other job can take over between
the look at it and the write; tags, and metadata up to 1.4, go by database id only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, STATES, JobKey, Tag
from ccgateway.jobs.writes import CreateUser, NodeStates, OmitTagged, StartJob, StopJob, Target, UserChange
from ccgateway.site.dialects.released import RELEASED
from ccgateway.site.dialects.replies import Effect, Reply, Words, deleted_count, understand, understand_empty
from ccgateway.site.exchange import SiteAnswer, SiteRequest

__all__ = ["HOWTO_WRITING", "RELEASED_WRITING", "Writing"]

EXCLUSIVE_BY_SHARED = {shared: exclusive for exclusive, shared in SHARED_BY_EXCLUSIVE.items()}

_NO_JOB = "The site has no such job, or does not show it."  # the words that reading has for it as well
_TAKEN = "The site has another job of that number on that cluster, started less than a day before this one, or later."
_START = (
    Words("already exists", Effect.REFUSED, Code.CONFLICT, _TAKEN),
    Words("unique constraint failed: job", Effect.ALREADY, Code.CONFLICT, "The site has that job already."),
    Words("check constraint failed", Effect.REFUSED, Code.SITE_REFUSED, "The site's database refuses a value of the job."),
)
_STOP = (
    Words("no rows in result set", Effect.REFUSED, Code.NOT_FOUND, _NO_JOB),
    Words("already been stopped", Effect.REFUSED, Code.CONFLICT, "The job has been stopped already."),
    Words(
        "only running jobs can be stopped", Effect.REFUSED, Code.CONFLICT, "The job has been stopped already, or starts later."
    ),
)
_DELETE = (Words("no rows in result set", Effect.REFUSED, Code.NOT_FOUND, _NO_JOB),)
_OTHER_SCOPE = "The site has a tag of that type and name in another scope, and keeps one only."
_NOT_YOURS = "The site does not let this user write tags of that scope."
#: on one tag of one job
TAG_WORDS = (
    Words("unique constraint failed: jobtag", Effect.ALREADY, Code.CONFLICT, "The job has that tag already."),
    Words("unique constraint failed: tag.", Effect.REFUSED, Code.CONFLICT, _OTHER_SCOPE),
    Words("cannot write tag scope", Effect.REFUSED, Code.SITE_UNAUTHORIZED, _NOT_YOURS),
    Words("not authorized to", Effect.REFUSED, Code.SITE_UNAUTHORIZED, _NOT_YOURS),
    Words("foreign key constraint failed", Effect.REFUSED, Code.NOT_FOUND, _NO_JOB),
    Words("tag does not exist", Effect.ALREADY, Code.NOT_FOUND, "The site has no such tag."),
)
_USER = (
    Words("no rows in result set", Effect.REFUSED, Code.NOT_FOUND, "The site has no such user."),
    Words("already has role", Effect.ALREADY, Code.CONFLICT, "The user has that role already."),
    Words("role already deleted", Effect.ALREADY, Code.CONFLICT, "The user does not have that role."),
    Words("already manages project", Effect.ALREADY, Code.CONFLICT, "The user manages that project already."),
    Words("does not match", Effect.ALREADY, Code.CONFLICT, "The user does not manage that project."),
)
_CREATED = re.compile(rb"User .* successfully created!\s*", re.DOTALL)
_NEW_USER = (
    Words("unique constraint failed: user", Effect.REFUSED, Code.CONFLICT, "The site has a user of that name already."),
    Words("only admins are allowed", Effect.REFUSED, Code.SITE_UNAUTHORIZED, "The site lets only administrators create users."),
)


@dataclass(frozen=True, slots=True)
class Writing:
    """One released series.

    ``users_write``: whether it lets every token with the role ``api`` write (and isolates nobody); ``tag_scopes``: whether tags
    have scopes; ``starts_late``: whether a started job shows only after a while; ``start_tells_id``, ``counts``: whether the
    answers do; ``untags``: by REST; ``removes_tags``: altogether; ``meta_by_key``, ``edits_meta``, ``omits_tagged``: whether it
    can; ``shows_old_meta``: whether it may show a job the metadata of a deleted one that had its database id, until it is edited;
    ``changes_users``: how it is told of their roles and projects, if it can be; ``creates_users``: whether users can be created
    and deleted; ``takes_nodes``: whether it takes what the scheduler says of nodes.
    """

    name: str
    states: frozenset[str]
    users_write: bool = False
    tag_scopes: bool = True
    start_tells_id: bool = False
    starts_late: bool = False
    untags: bool = True
    removes_tags: bool = True
    edits_meta: bool = True
    meta_by_key: bool = False
    shows_old_meta: bool = False
    omits_tagged: bool = False
    counts: bool = False
    shared_key: str = "exclusive"
    changes_users: Literal["form", "json"] | None = None
    creates_users: bool = False
    takes_nodes: bool = False

    # --- start

    def start_request(self, order: StartJob) -> SiteRequest:
        """``POST start_job/``. Always with ``metaData``: without it, editing it once the job is archived crashes the site."""
        body: dict[str, Any] = {
            "jobId": order.job_id,
            "user": order.user,
            "project": order.project,
            "cluster": order.cluster,
            "numNodes": len(order.resources) if order.num_nodes is None else order.num_nodes,
            "startTime": order.start_time,
            "resources": [_without_nulls(msgspec.structs.asdict(one)) for one in order.resources],
            "metaData": dict(order.meta_data),
        }
        optional = {
            "subCluster": order.sub_cluster,
            "partition": order.partition,
            "arrayJobId": order.array_job_id,
            "numHwthreads": order.num_hw_threads,
            "numAcc": order.num_acc,
            "smt": order.smt,
            "monitoringStatus": order.monitoring_status,
            "walltime": order.walltime,
            "tags": [self.tag_body(tag) for tag in order.tags] or None,
            self.shared_key: self._shared(order.shared),
        }
        return _write("POST", "jobs/start_job/", body | _without_nulls(optional))

    def _shared(self, shared: str | None) -> str | int | None:
        return shared if shared is None or self.shared_key == "shared" else EXCLUSIVE_BY_SHARED[shared]

    def started(self, answer: SiteAnswer, site: str) -> Reply:
        """201 with the id, or with nothing to go by."""
        return understand(answer, site, _START)

    # --- stop

    def stop_request(self, target: Target, order: StopJob) -> SiteRequest:
        """``POST stop_job/`` by what is known of the key."""
        body = {"jobId": target.job_id, "cluster": target.cluster, "startTime": target.start_time}
        return _write("POST", "jobs/stop_job/", {**_without_nulls(body), "jobState": order.state, "stopTime": order.stop_time})

    def stopped(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with the job."""
        return understand(answer, site, _STOP)

    # --- tags

    def tag_body(self, tag: Tag) -> dict[str, str]:
        """One tag as the site takes it."""
        named = {"type": tag.type, "name": tag.name}
        return {**named, "scope": tag.scope} if self.tag_scopes else named

    def tag_request(self, db_id: int, tags: Sequence[Tag]) -> SiteRequest:
        """``POST tag_job/{id}``."""
        return _write("POST", f"jobs/tag_job/{db_id}", [self.tag_body(tag) for tag in tags])

    def untag_request(self, db_id: int, tags: Sequence[Tag]) -> SiteRequest:
        """``DELETE tag_job/{id}``. The site skips scopes other than ``global`` and ``admin`` without a word."""
        return _write("DELETE", f"jobs/tag_job/{db_id}", [self.tag_body(tag) for tag in tags])

    def remove_tags_request(self, tags: Sequence[Tag]) -> SiteRequest:
        """``DELETE tags/``."""
        return _write("DELETE", "tags/", [self.tag_body(tag) for tag in tags])

    def tagged(self, answer: SiteAnswer, site: str, *, count: int) -> Reply:
        """200 with the job. Of several tags, those before one that failed are done: then all is in doubt."""
        reply = understand(answer, site, TAG_WORDS)
        if count > 1 and answer.status == 500 and reply.effect is not Effect.DONE:
            return Reply(Effect.DOUBT, reply.error, reply.end)
        return reply

    # --- metadata

    def meta_requests(self, key: JobKey, db_id: int, values: Mapping[str, str]) -> list[tuple[dict[str, str], SiteRequest]]:
        """``PATCH edit_meta/``, one request for each key, and what it sets."""
        found = []
        for name, value in values.items():
            pair = {"key": name, "value": value}
            if self.meta_by_key:
                request = _write("PATCH", "jobs/edit_meta/", {**_key_body(key), "payload": pair})
            else:
                request = _write("PATCH", f"jobs/edit_meta/{db_id}", pair)
            found.append(({name: value}, request))
        return found

    def edited(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with the job and all its metadata."""
        return understand(answer, site, _DELETE)

    # --- deletes

    def delete_request(self, key: JobKey, db_id: int) -> SiteRequest:  # noqa: ARG002 - a dialect that goes by the id
        """``DELETE delete_job/`` by key."""
        return _write("DELETE", "jobs/delete_job/", _key_body(key))

    def deleted(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with a message."""
        return understand(answer, site, _DELETE)

    def delete_before_request(self, before: int, omit_tagged: OmitTagged) -> SiteRequest:
        """``DELETE delete_job_before/{ts}``: what started before, whatever the how-to page says of stop times."""
        query = "" if omit_tagged == "none" else f"?omit-tagged={omit_tagged}"
        return SiteRequest("DELETE", f"/api/jobs/delete_job_before/{before}{query}", safe=False)

    def deleted_before(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with a message that holds the count; always 0 on 1.3 and 1.4."""
        reply = understand(answer, site)
        number = deleted_count(answer) if self.counts and reply.effect is Effect.DONE else None
        return Reply(reply.effect, reply.error, reply.end, number)

    # --- users

    def user_request(self, name: str, change: UserChange, value: str) -> SiteRequest:
        """``POST user/{id}``."""
        path = f"user/{quote(name, safe='')}"
        if self.changes_users == "form":  # of which the query is a part
            return SiteRequest("POST", f"/api/{path}?{urlencode({str(change): value})}", safe=False)
        return _write("POST", path, {change: value})

    def user_changed(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with a message."""
        if answer.status in (404, 405):
            message = f"Site {site} cannot change roles and projects of users: releases of the series 1.5 can since 1.5.4."
            return Reply(Effect.REFUSED, SiteError(Code.UNSUPPORTED, site, message))
        return understand(answer, site, _USER)

    def new_user_request(self, order: CreateUser) -> SiteRequest:
        """``POST users/``, a form; what is not given is left out."""
        given = {
            "username": order.user,
            "password": order.password,
            "role": order.role,
            "name": order.name,
            "email": order.email,
            "project": order.project,
        }
        body = urlencode({name: value for name, value in given.items() if value}).encode()
        return SiteRequest("POST", "/api/users/", body, safe=False, media_type="application/x-www-form-urlencoded")

    def user_created(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with a message. What the site says of its own accord is not passed on: it may hold the password."""
        if 200 <= answer.status < 300 and _CREATED.fullmatch(answer.body):
            return Reply(Effect.DONE)
        reply = understand(answer, site, _NEW_USER)
        if reply.effect is Effect.DONE:  # and not what it should be
            return Reply(Effect.DOUBT, SiteError(Code.BAD_ANSWER, site, "The site's answer is not what it should be."))
        if reply.error is None or any(reply.error.message == one.message for one in _NEW_USER):
            return reply
        return understand(replace(answer, body=b"", location=None), site)

    def user_gone_request(self, name: str) -> SiteRequest:
        """``DELETE users/``; a form in the body of a ``DELETE`` is not read."""
        return SiteRequest("DELETE", f"/api/users/?{urlencode({'username': name})}", safe=False)

    def user_gone(self, answer: SiteAnswer, site: str) -> Reply:
        """200 and nothing, whether there was such a user or not: that proves nothing, so it is a doubt."""
        return understand(answer, site)

    # --- nodes

    def nodes_request(self, order: NodeStates) -> SiteRequest:
        """``POST nodestate/``."""
        return _write("POST", "nodestate/", {"cluster": order.cluster, "nodes": order.nodes})

    def nodes_taken(self, answer: SiteAnswer, site: str) -> Reply:
        """200 and nothing, also where the site could not keep it."""
        return understand_empty(answer, site)

    def unsupported(self, site: str, what: str) -> SiteError:
        """The error for what this release cannot do."""
        return SiteError(Code.UNSUPPORTED, site, f"Release {self.name}, which site {site} runs, cannot {what}.")


def _write(method: str, path: str, body: object) -> SiteRequest:
    return SiteRequest(method, f"/api/{path}", msgspec.json.encode(body), safe=False)


def _key_body(key: JobKey) -> dict[str, Any]:
    return {"jobId": key.job_id, "cluster": key.cluster, "startTime": key.start_time}


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class HowToWriting(Writing):
    """As the how-to page documents it: stop by id, any keys of metadata at once."""

    def _shared(self, shared: str | None) -> str | int | None:
        return shared

    def stop_request(self, target: Target, order: StopJob) -> SiteRequest:
        """``POST stop_job/{id}``."""
        if target.db_id is None:
            return Writing.stop_request(self, target, order)
        body = {**_without_nulls({"cluster": target.cluster}), "jobState": order.state, "stopTime": order.stop_time}
        return _write("POST", f"jobs/stop_job/{target.db_id}", body)

    def meta_requests(
        self,
        key: JobKey,  # noqa: ARG002 - the page knows ids only
        db_id: int,
        values: Mapping[str, str],
    ) -> list[tuple[dict[str, str], SiteRequest]]:
        """``PATCH edit_meta/{id}`` with all keys."""
        return [(dict(values), _write("PATCH", f"jobs/edit_meta/{db_id}", dict(values)))]


HOWTO_WRITING = HowToWriting("howto", frozenset(STATES), start_tells_id=True, shared_key="shared", counts=False)

RELEASED_WRITING: dict[str, Writing] = {
    "1.2": Writing(
        "1.2",
        RELEASED["1.2"].states,
        users_write=True,
        tag_scopes=False,
        start_tells_id=True,
        untags=False,
        removes_tags=False,
        edits_meta=False,
        counts=True,
        changes_users="form",
        creates_users=True,
    ),
    "1.3": Writing(
        "1.3",
        RELEASED["1.3"].states,
        users_write=True,
        tag_scopes=False,
        start_tells_id=True,
        untags=False,
        removes_tags=False,
        shows_old_meta=True,
        changes_users="form",
        creates_users=True,
    ),
    "1.4": Writing("1.4", RELEASED["1.4"].states, shows_old_meta=True),
    "1.5": Writing(
        "1.5",
        RELEASED["1.5"].states,
        starts_late=True,
        meta_by_key=True,
        omits_tagged=True,
        counts=True,
        shared_key="shared",
        changes_users="json",
        takes_nodes=True,
    ),
}
