"""Every operation of the REST faces, one row each: its path and methods, what carries it out, its parameters and body, and what
each face says of it. Requests are routed by this table, and OpenAPI is written from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ccgateway.surfaces.rest import howto, reads, release, writes
from ccgateway.surfaces.rest.bodies import (
    ENDED,
    NAMED,
    NAMED_PAIR,
    NODES,
    PAIR,
    STARTED,
    STARTED_ANYWHERE,
    TAGS,
    USER,
    schema_of,
)  # fmt: skip
from ccgateway.surfaces.rest.clusters import Account, Clusters
from ccgateway.surfaces.rest.endpoints import Endpoint, Handler, Operation, Parameter, Schema, Table
from ccgateway.surfaces.rest.forms import NEW_USER
from ccgateway.surfaces.rest.howto_results import AtSites, FailedWrite, Failure, Told, Written
from ccgateway.surfaces.rest.jobs import Job
from ccgateway.surfaces.rest.nodes import NodesInUse
from ccgateway.surfaces.rest.parameters import (
    ALL_METRICS,
    CHANGED,
    CLUSTER,
    DOCUMENTED_LIST,
    DRY_RUN,
    METRICS,
    NAMES,
    NOT_JUST_USER,
    OMIT_TAGGED,
    POLICY,
    RELEASED_LIST,
    RESOLUTION,
    SITE,
    SITES,
    TIMESTAMP,
    USERNAME,
)  # fmt: skip
from ccgateway.surfaces.rest.release_results import FailedAtSites, Message, ReleasedFailure

__all__ = ["API", "RELEASED_API", "RELEASED_USERAPI", "USERAPI"]


#: as the how-to page has it, or as a release has it
Face = Literal["documented", "released"]


@dataclass(frozen=True, slots=True)
class Said:
    """What one face says of an operation. ``answers``: the type of the body by status; ``parameters`` and ``body``: what it takes
    that the other face does not; ``methods``: where it has others."""

    summary: str
    answers: Mapping[int, Any]
    parameters: Sequence[Parameter] = ()
    body: Schema | None = None
    description: str = ""
    methods: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operation. The second of two methods has a name of its own. ``own``: whether it is below ``/userapi`` too; ``howto``
    and ``release``: as each face has it, if it has it."""

    name: str
    methods: Sequence[str]
    path: str
    run: Handler
    howto: Said
    release: Said | None = None
    parameters: Sequence[Parameter] = ()
    body: Schema | None = None
    form: Schema | None = None
    own: bool = False
    writes: bool = False

    def operations(self, face: Face) -> Iterator[tuple[str, Operation]]:
        """Method and operation, for each of the methods, as ``face`` has them."""
        said = self.howto if face == "documented" else self.release
        if said is None:
            return
        failure: Any = ReleasedFailure if face == "released" else (Failure, FailedWrite) if self.writes else Failure
        methods = said.methods or self.methods
        names = [self.name, *(f"{self.name}By{method.capitalize()}" for method in methods[1:])]
        for method, name in zip(methods, names, strict=True):
            yield (
                method,
                Operation(
                    run=self.run,
                    name=name,
                    summary=said.summary,
                    description=said.description,
                    parameters=(*self.parameters, *said.parameters),
                    body=said.body or self.body,
                    form=self.form,
                    answers=said.answers,
                    failure=failure,
                    reports=not self.writes,
                ),
            )


def _read(name: str, path: str, run: Handler, *, howto: Said, release: Said, **more: Any) -> Row:
    return Row(name=name, path=path, run=run, howto=howto, release=release, **({"methods": ("GET",)} | more))


def _write(methods: str, name: str, path: str, run: Handler, *, howto: Said, release: Said | None, **more: Any) -> Row:
    return Row(name=name, methods=methods.split(), path=path, run=run, howto=howto, release=release, writes=True, **more)


_JOB_AFTER = {200: (Written, Told)}
_SITES_AFTER = {200: AtSites, 207: AtSites}
_STARTED = {200: Told, 201: Told, 202: Told}
_MULTI = "207 where not every site did it."
_UP_TO_1_3 = f"By administrators, at releases up to 1.3. {_MULTI}"
_ANY_KEYS = {
    "type": "object",
    "description": "Any keys of metadata, or one key as `key` and `value`.",
    "additionalProperties": {"type": "string"},
}

#: the first path that fits a request counts
ROWS = (
    _read(
        "listJobs", "/jobs/", reads.list_jobs, own=True,
        howto=Said(
            "Lists jobs", {200: howto.JobPage}, DOCUMENTED_LIST,
            description="The jobs of all sites, newest first. Pages that follow one another lose and double nothing while jobs "
            "come and go. Where a site is missing, `sites` says so, and the header `X-CCGateway-Complete` is `false`.",
        ),
        release=Said("Lists all jobs", {200: release.JobPage}, RELEASED_LIST),
    ),
    _read(
        "usedNodes", "/jobs/used_nodes", reads.used_nodes, parameters=(TIMESTAMP, SITE, POLICY),
        howto=Said("Nodes of running jobs", {200: NodesInUse}),
        release=Said("Used nodes", {200: NodesInUse}),
    ),
    _read(
        "listClusters", "/clusters/", reads.clusters, parameters=(CLUSTER, SITE, POLICY),
        howto=Said("Lists all clusters", {200: Clusters}),
        release=Said("Lists clusters", {200: Clusters}),
    ),
    _read(
        "listUsers", "/users/", reads.users, parameters=(NOT_JUST_USER, SITE, POLICY),
        howto=Said("Lists all users", {200: list[Account]}),
        release=Said("Lists users", {200: list[Account]}),
    ),
    _write(
        "POST PUT", "createUser", "/users/", writes.create_user, parameters=(SITES,), form=NEW_USER,
        howto=Said("Creates a user", _SITES_AFTER, description=_UP_TO_1_3),
        release=Said("Creates a user, at releases up to 1.3", {200: str, 207: FailedAtSites}),
    ),
    _write(
        "DELETE", "deleteUser", "/users/", writes.delete_user, parameters=(SITES, USERNAME),
        howto=Said("Deletes a user", _SITES_AFTER, description=_UP_TO_1_3),
        release=Said("Deletes a user, at releases up to 1.3", {200: None, 207: FailedAtSites}),
    ),
    _read(
        "getJobMetrics", "/jobs/metrics/{id}", reads.job_metrics, own=True, parameters=METRICS,
        howto=Said(
            "Loads specified job metrics for given metric and scope params", {200: howto.Metrics, 304: None}, (RESOLUTION,)
        ),
        release=Said("Metrics of a job", {200: release.Metrics, 304: None}),
    ),
    _write(
        "POST PUT", "startJob", "/jobs/start_job/", writes.start_job, parameters=(SITE,),
        howto=Said(
            "Starts a job", _STARTED, body=schema_of(STARTED_ANYWHERE),
            description="202, with a provisional id that it can be stopped by, while a site of release 1.5 does not show it yet.",
        ),
        release=Said("Starts a job", {201: Message}, body=schema_of(STARTED)),
    ),
    _write(
        "POST PUT", "stopJob", "/jobs/stop_job/", writes.stop_named_job, parameters=(SITE,), body=schema_of(ENDED),
        howto=Said("Stops a job", _JOB_AFTER),
        release=Said("Stops a job", {200: Job}),
    ),
    _write(
        "POST PUT", "stopJobById", "/jobs/stop_job/{id}", writes.stop_job, body=schema_of(ENDED),
        howto=Said("Stops a job by database id", _JOB_AFTER),
        release=None,
    ),
    _write(
        "POST PATCH", "tagJob", "/jobs/tag_job/{id}", writes.tag_job, body=schema_of(TAGS),
        howto=Said("Adds array of tags (Type, Name, Scope) to job", _JOB_AFTER),
        release=Said("Adds tags to a job", {200: Job}),
    ),
    _write(
        "DELETE", "untagJob", "/jobs/tag_job/{id}", writes.untag_job, body=schema_of(TAGS),
        howto=Said("Removes array of tags from job. Tags remain in DB.", _JOB_AFTER),
        release=Said("Removes tags from a job", {200: Job}),
    ),
    _write(
        "POST PATCH", "editMeta", "/jobs/edit_meta/{id}", writes.edit_meta,
        howto=Said("Edits meta_data column for the specified job", _JOB_AFTER, body=_ANY_KEYS),
        release=Said("Edits metadata", {200: Job}, body=schema_of(PAIR), methods=("PATCH",)),
    ),
    _write(
        "PATCH", "editMetaByKey", "/jobs/edit_meta/", writes.edit_named_meta, parameters=(SITE,), body=schema_of(NAMED_PAIR),
        howto=Said("Edits metadata of the job of a key", _JOB_AFTER),
        release=Said("Edits metadata of the job of a key", {200: Job}),
    ),
    _write(
        "DELETE", "deleteJobByKey", "/jobs/delete_job/", writes.delete_named_job, parameters=(SITE,), body=schema_of(NAMED),
        howto=Said("Deletes job specified in payload", {200: Told}, (DRY_RUN,)),
        release=Said("Deletes the job of a key", {200: Message}),
    ),
    _write(
        "DELETE", "deleteJob", "/jobs/delete_job/{id}", writes.delete_job,
        howto=Said("Deletes job specified by database id", {200: Told}, (DRY_RUN,)),
        release=Said("Deletes a job", {200: Message}),
    ),
    _write(
        "DELETE", "deleteJobsBefore", "/jobs/delete_job_before/{ts}", writes.delete_before, parameters=(SITES, OMIT_TAGGED),
        howto=Said(
            "Deletes all jobs that started before the unix timestamp", _SITES_AFTER, (DRY_RUN,),
            description=f"By start time, as every release does, running jobs included. {_MULTI}",
        ),
        release=Said("Deletes jobs that started before", {200: Message, 207: FailedAtSites}),
    ),
    _write(
        "DELETE", "removeTags", "/tags/", writes.remove_tags, parameters=(SITES,), body=schema_of(TAGS),
        howto=Said("Removes array of tags (Type, Name, Scope) from DB", _SITES_AFTER, (DRY_RUN,), description=_MULTI),
        release=Said("Removes tags altogether", {200: str, 207: FailedAtSites}),
    ),
    _write(
        "POST", "changeUser", "/user/{id}", writes.change_user, parameters=(SITES,), body=schema_of(USER),
        howto=Said(
            "Adds a role or project of a user, or removes one", _SITES_AFTER, CHANGED,
            description=f"Releases up to 1.3, and since 1.5.4, can do that. {_MULTI}",
        ),
        release=Said("Adds a role or project of a user, or removes one", {200: Message, 207: FailedAtSites}),
    ),
    _write(
        "POST PUT", "updateNodeStates", "/nodestate/", writes.update_nodes, parameters=(SITE,), body=schema_of(NODES),
        howto=Said(
            "Takes what a scheduler says of nodes", {200: None},
            description="For the site that has the cluster. Releases since 1.5 can do that.",
        ),
        release=Said("Takes what a scheduler says of nodes", {200: None}),
    ),
    _read(
        "getJob", "/jobs/{id}", reads.single_job, own=True, parameters=(ALL_METRICS,),
        howto=Said(
            "Loads specified job with metrics", {200: howto.Single, 304: None},
            description="Flat, as the how-to page has it, and in `Meta` and `Data` as cc-backend has it.",
        ),
        release=Said("Job, and optionally all its metrics", {200: release.Single, 304: None}),
    ),
    _read(
        "getJobWith", "/jobs/{id}", reads.single_job_with, own=True, methods=("POST",), body=NAMES,
        howto=Said(
            "Loads specified job metadata", {200: howto.SingleWith}, description="With the metrics that the body names."
        ),
        release=Said("Job with the metrics named", {200: release.SingleWith}),
    ),
)  # fmt: skip


def _table(face: Face, *, own: bool) -> Table:
    by_path: dict[str, dict[str, Operation]] = {}
    for row in ROWS:
        if row.own or not own:
            by_path.setdefault(row.path, {}).update(row.operations(face))
    endpoints = [Endpoint(path, operations) for path, operations in by_path.items() if operations]
    return Table(endpoints, lenient=face == "documented")


API, USERAPI = _table("documented", own=False), _table("documented", own=True)
RELEASED_API, RELEASED_USERAPI = _table("released", own=False), _table("released", own=True)
