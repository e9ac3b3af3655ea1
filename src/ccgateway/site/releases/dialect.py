"""One release, whole: how it is read (``reads``), and how jobs are started, stopped, tagged, edited and deleted, and users and
nodes told of: requests, and what the answers to them say.

Where a release offers the choice, a job is named by its key, which no other job can take over between the look at it and the
write; tags, and metadata up to 1.4, go by database id only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, JobKey, Tag
from ccgateway.jobs.writes import CreateUser, NodeStates, OmitTagged, StartJob, StopJob, Target, UserChange
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.releases.reads import Reads
from ccgateway.site.releases.write_replies import (
    JOB_PATTERNS,
    NEW_USER_PATTERNS,
    START_PATTERNS,
    STOP_PATTERNS,
    TAG_PATTERNS,
    USER_PATTERNS,
    Effect,
    Reply,
    deleted_count,
    understand,
    understand_empty,
)

__all__ = ["Dialect", "without_nulls", "write_request"]

EXCLUSIVE_BY_SHARED: dict[str | None, int | None] = {None: None}
EXCLUSIVE_BY_SHARED |= {shared: exclusive for exclusive, shared in SHARED_BY_EXCLUSIVE.items()}
_CREATED = re.compile(rb"User .* successfully created!\s*", re.DOTALL)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dialect(Reads):
    """What one release accepts and answers."""

    #: under which key, and in whose words, a job says whether it shares its nodes
    shared_key: Literal["shared", "exclusive"] = "exclusive"
    #: whether a started job shows only after a while
    starts_late: bool = False
    #: whether tags have scopes; whether they can be taken from a job by REST; whether they can be removed altogether
    tag_scopes: bool = True
    untags: bool = True
    removes_tags: bool = True
    #: whether metadata can be edited, and by the job's key
    edits_meta: bool = True
    meta_by_key: bool = False
    #: whether it may show a job the metadata of a deleted one that had its database id, until it is edited
    shows_old_meta: bool = False
    #: whether it can spare tagged jobs when it deletes, and whether it says how many it deleted
    omits_tagged: bool = False
    counts: bool = False
    #: how it is told of users' roles and projects, if it can be; whether users can be created and deleted
    changes_users: Literal["form", "json"] | None = None
    creates_users: bool = False
    #: whether it takes what the scheduler says of nodes
    takes_nodes: bool = False

    # --- start

    def start_request(self, command: StartJob) -> SiteRequest:
        """``POST start_job/``. Always with ``metaData``: without it, editing it once the job is archived crashes the site."""
        body: dict[str, Any] = {
            "jobId": command.job_id,
            "user": command.user,
            "project": command.project,
            "cluster": command.cluster,
            "numNodes": len(command.resources) if command.num_nodes is None else command.num_nodes,
            "startTime": command.start_time,
            "resources": [without_nulls(msgspec.structs.asdict(one)) for one in command.resources],
            "metaData": dict(command.meta_data),
        }
        optional = {
            "subCluster": command.sub_cluster,
            "partition": command.partition,
            "arrayJobId": command.array_job_id,
            "numHwthreads": command.num_hw_threads,
            "numAcc": command.num_acc,
            "smt": command.smt,
            "monitoringStatus": command.monitoring_status,
            "walltime": command.walltime,
            "tags": [self.tag_body(tag) for tag in command.tags] or None,
            self.shared_key: command.shared if self.shared_key == "shared" else EXCLUSIVE_BY_SHARED[command.shared],
        }
        return write_request("POST", "jobs/start_job/", body | without_nulls(optional))

    def started(self, answer: SiteAnswer, site: str) -> Reply:
        """201 with the id, or with nothing to go by."""
        return understand(answer, site, START_PATTERNS)

    # --- stop

    def stop_request(self, target: Target, command: StopJob) -> SiteRequest:
        """``POST stop_job/`` by what is known of the key."""
        body = {"jobId": target.job_id, "cluster": target.cluster, "startTime": target.start_time}
        return write_request(
            "POST", "jobs/stop_job/", {**without_nulls(body), "jobState": command.state, "stopTime": command.stop_time}
        )

    def stopped(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with the job."""
        return understand(answer, site, STOP_PATTERNS)

    # --- tags

    def tag_body(self, tag: Tag) -> dict[str, str]:
        """One tag as the site takes it."""
        named = {"type": tag.type, "name": tag.name}
        return {**named, "scope": tag.scope} if self.tag_scopes else named

    def tag_request(self, db_id: int, tags: Sequence[Tag]) -> SiteRequest:
        """``POST tag_job/{id}``."""
        return write_request("POST", f"jobs/tag_job/{db_id}", [self.tag_body(tag) for tag in tags])

    def untag_request(self, db_id: int, tags: Sequence[Tag]) -> SiteRequest:
        """``DELETE tag_job/{id}``. The site skips scopes other than ``global`` and ``admin`` without a word."""
        return write_request("DELETE", f"jobs/tag_job/{db_id}", [self.tag_body(tag) for tag in tags])

    def remove_tags_request(self, tags: Sequence[Tag]) -> SiteRequest:
        """``DELETE tags/``."""
        return write_request("DELETE", "tags/", [self.tag_body(tag) for tag in tags])

    def tagged(self, answer: SiteAnswer, site: str, *, count: int) -> Reply:
        """200 with the job. Of several tags, those before one that failed are done: then all is in doubt."""
        reply = understand(answer, site, TAG_PATTERNS)
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
                request = write_request("PATCH", "jobs/edit_meta/", {**_key_body(key), "payload": pair})
            else:
                request = write_request("PATCH", f"jobs/edit_meta/{db_id}", pair)
            found.append(({name: value}, request))
        return found

    def edited(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with the job and all its metadata."""
        return understand(answer, site, JOB_PATTERNS)

    # --- deletes

    def delete_request(self, key: JobKey, db_id: int) -> SiteRequest:  # noqa: ARG002 - a dialect that goes by the id
        """``DELETE delete_job/`` by key."""
        return write_request("DELETE", "jobs/delete_job/", _key_body(key))

    def deleted(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with a message."""
        return understand(answer, site, JOB_PATTERNS)

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
        return write_request("POST", path, {change: value})

    def user_changed(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with a message."""
        if answer.status in (404, 405):
            message = f"Site {site} cannot change roles and projects of users: releases of the series 1.5 can since 1.5.4."
            return Reply(Effect.REFUSED, SiteError(Code.UNSUPPORTED, site, message))
        return understand(answer, site, USER_PATTERNS)

    def new_user_request(self, command: CreateUser) -> SiteRequest:
        """``POST users/``, a form; what is not given is left out."""
        given = {
            "username": command.user,
            "password": command.password,
            "role": command.role,
            "name": command.name,
            "email": command.email,
            "project": command.project,
        }
        body = urlencode({name: value for name, value in given.items() if value}).encode()
        return SiteRequest("POST", "/api/users/", body, safe=False, media_type="application/x-www-form-urlencoded")

    def user_created(self, answer: SiteAnswer, site: str) -> Reply:
        """200 with a message. What the site says of its own accord is not passed on: it may hold the password."""
        if 200 <= answer.status < 300 and _CREATED.fullmatch(answer.body):
            return Reply(Effect.DONE)
        reply = understand(answer, site, NEW_USER_PATTERNS)
        if reply.effect is Effect.DONE:  # and not what it should be
            return Reply(Effect.DOUBT, SiteError(Code.BAD_ANSWER, site, "The site's answer is not what it should be."))
        if reply.error is None or any(reply.error.message == pattern.message for pattern in NEW_USER_PATTERNS):
            return reply
        return understand(replace(answer, body=b"", location=None), site)

    def user_gone_request(self, name: str) -> SiteRequest:
        """``DELETE users/``; a form in the body of a ``DELETE`` is not read."""
        return SiteRequest("DELETE", f"/api/users/?{urlencode({'username': name})}", safe=False)

    def user_gone(self, answer: SiteAnswer, site: str) -> Reply:
        """200 and nothing, whether there was such a user or not: that proves nothing, so it is a doubt."""
        return understand(answer, site)

    # --- nodes

    def nodes_request(self, command: NodeStates) -> SiteRequest:
        """``POST nodestate/``."""
        return write_request("POST", "nodestate/", {"cluster": command.cluster, "nodes": command.nodes})

    def nodes_taken(self, answer: SiteAnswer, site: str) -> Reply:
        """200 and nothing, also where the site could not keep it."""
        return understand_empty(answer, site)


def write_request(method: str, path: str, body: object) -> SiteRequest:
    return SiteRequest(method, f"/api/{path}", msgspec.json.encode(body), safe=False)


def _key_body(key: JobKey) -> dict[str, Any]:
    return {"jobId": key.job_id, "cluster": key.cluster, "startTime": key.start_time}


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
