"""What ``/api`` and ``/userapi`` offer: every path and method, what they take and give."""

from __future__ import annotations

from typing import Any

from ccgateway.surfaces.rest import documented, documented_accounts, documented_writes
from ccgateway.surfaces.rest.bodies import ENDED, NAMED, NAMED_PAIR, NODES, STARTED_ANYWHERE, TAGS, USER, schema_of
from ccgateway.surfaces.rest.clusters import Account, Clusters
from ccgateway.surfaces.rest.endpoints import FAILURES, Endpoint, Handler, Operation, Table
from ccgateway.surfaces.rest.forms import NEW_USER
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
    RESOLUTION,
    SITE,
    SITES,
    TIMESTAMP,
    USERNAME,
)  # fmt: skip
from ccgateway.surfaces.rest.styles import FailedWrite, Failure

__all__ = ["API", "USERAPI"]


def _documented(run: Handler, name: str, summary: str, answers: dict[int, Any], **more: Any) -> Operation:
    failure = more.pop("failure", Failure)
    return Operation(run=run, name=name, summary=summary, answers=answers, failures=FAILURES, failure=failure, **more)


def _writing(run: Handler, name: str, summary: str, answers: dict[int, Any], **more: Any) -> Operation:
    return _documented(run, name, summary, answers, failure=(Failure, FailedWrite), **more)


_LIST = Endpoint(
    "/jobs/",
    {
        "GET": _documented(
            documented.list_jobs,
            "listJobs",
            "Lists jobs",
            {200: documented.JobPage},
            parameters=DOCUMENTED_LIST,
            description="The jobs of all sites, newest first. Pages that follow one another lose and double nothing while jobs "
            "come and go. Where a site is missing, `sites` says so, and the header `X-CCGateway-Complete` is `false`.",
        )
    },
)
_METRICS = Endpoint(
    "/jobs/metrics/{id}",
    {
        "GET": _documented(
            documented.job_metrics,
            "getJobMetrics",
            "Loads specified job metrics for given metric and scope params",
            {200: documented.Metrics, 304: None},
            parameters=(*METRICS, RESOLUTION),
        )
    },
)
_JOB = Endpoint(
    "/jobs/{id}",
    {
        "GET": _documented(
            documented.single_job,
            "getJob",
            "Loads specified job with metrics",
            {200: documented.Single, 304: None},
            parameters=(ALL_METRICS,),
            description="Flat, as the how-to page has it, and in `Meta` and `Data` as cc-backend has it.",
        ),
        "POST": _documented(
            documented.single_job_with,
            "getJobWith",
            "Loads specified job metadata",
            {200: documented.Single},
            body=NAMES,
            description="With the metrics that the body names.",
        ),
    },
)

_JOB_AFTER = {200: (documented_writes.Written, documented_writes.Told)}
_KEYED = {
    "type": "object",
    "description": "Any keys of metadata, or one key as `key` and `value`.",
    "additionalProperties": {"type": "string"},
}


def _twice(
    run: Handler, name: str, summary: str, methods: tuple[str, str], answers: dict[int, Any], **more: Any
) -> dict[str, Operation]:
    """The same under two methods."""
    first, second = methods
    again = f"{name}By{second.capitalize()}"
    return {first: _writing(run, name, summary, answers, **more), second: _writing(run, again, summary, answers, **more)}


_STARTED = {200: documented_writes.Told, 201: documented_writes.Told, 202: documented_writes.Told}
_WRITES = (
    Endpoint(
        "/jobs/start_job/",
        _twice(
            documented_writes.start_job,
            "startJob",
            "Starts a job",
            ("POST", "PUT"),
            _STARTED,
            parameters=(SITE,),
            body=schema_of(STARTED_ANYWHERE),
            description="202, with a provisional id that it can be stopped by, while a site of release 1.5 does not show it yet.",
        ),
    ),
    Endpoint(
        "/jobs/stop_job/",
        _twice(
            documented_writes.stop_named_job,
            "stopJob",
            "Stops a job",
            ("POST", "PUT"),
            _JOB_AFTER,
            parameters=(SITE,),
            body=schema_of(ENDED),
        ),
    ),
    Endpoint(
        "/jobs/stop_job/{id}",
        _twice(
            documented_writes.stop_job,
            "stopJobById",
            "Stops a job by database id",
            ("POST", "PUT"),
            _JOB_AFTER,
            body=schema_of(ENDED),
        ),
    ),
    Endpoint(
        "/jobs/tag_job/{id}",
        {
            **_twice(
                documented_writes.tag_job,
                "tagJob",
                "Adds array of tags (Type, Name, Scope) to job",
                ("POST", "PATCH"),
                _JOB_AFTER,
                body=schema_of(TAGS),
            ),
            "DELETE": _writing(
                documented_writes.untag_job,
                "untagJob",
                "Removes array of tags from job. Tags remain in DB.",
                _JOB_AFTER,
                body=schema_of(TAGS),
            ),
        },
    ),
    Endpoint(
        "/jobs/edit_meta/{id}",
        _twice(
            documented_writes.edit_meta,
            "editMeta",
            "Edits meta_data column for the specified job",
            ("POST", "PATCH"),
            _JOB_AFTER,
            body=_KEYED,
        ),
    ),
    Endpoint(
        "/jobs/edit_meta/",
        {
            "PATCH": _writing(
                documented_writes.edit_named_meta,
                "editMetaByKey",
                "Edits metadata of the job of a key",
                _JOB_AFTER,
                parameters=(SITE,),
                body=schema_of(NAMED_PAIR),
            )
        },
    ),
    Endpoint(
        "/jobs/delete_job/",
        {
            "DELETE": _writing(
                documented_writes.delete_named_job,
                "deleteJobByKey",
                "Deletes job specified in payload",
                {200: documented_writes.Told},
                parameters=(SITE, DRY_RUN),
                body=schema_of(NAMED),
            )
        },
    ),
    Endpoint(
        "/jobs/delete_job/{id}",
        {
            "DELETE": _writing(
                documented_writes.delete_job,
                "deleteJob",
                "Deletes job specified by database id",
                {200: documented_writes.Told},
                parameters=(DRY_RUN,),
            )
        },
    ),
    Endpoint(
        "/jobs/delete_job_before/{ts}",
        {
            "DELETE": _writing(
                documented_writes.delete_before,
                "deleteJobsBefore",
                "Deletes all jobs that started before the unix timestamp",
                {200: documented_writes.AtSites, 207: documented_writes.AtSites},
                parameters=(SITES, OMIT_TAGGED, DRY_RUN),
                description="By start time, as every release does, running jobs included. 207 where not every site did it.",
            )
        },
    ),
    Endpoint(
        "/tags/",
        {
            "DELETE": _writing(
                documented_writes.remove_tags,
                "removeTags",
                "Removes array of tags (Type, Name, Scope) from DB",
                {200: documented_writes.AtSites, 207: documented_writes.AtSites},
                parameters=(SITES, DRY_RUN),
                body=schema_of(TAGS),
                description="207 where not every site did it.",
            )
        },
    ),
    Endpoint(
        "/user/{id}",
        {
            "POST": _writing(
                documented_accounts.change_user,
                "changeUser",
                "Adds a role or project of a user, or removes one",
                {200: documented_writes.AtSites, 207: documented_writes.AtSites},
                parameters=(SITES, *CHANGED),
                body=schema_of(USER),
                description="Releases up to 1.3, and since 1.5.4, can do that. 207 where not every site did it.",
            )
        },
    ),
    Endpoint(
        "/nodestate/",
        _twice(
            documented_writes.update_nodes,
            "updateNodeStates",
            "Takes what a scheduler says of nodes",
            ("POST", "PUT"),
            {200: None},
            parameters=(SITE,),
            body=schema_of(NODES),
            description="For the site that has the cluster. Releases since 1.5 can do that.",
        ),
    ),
)
_OTHERS = (
    Endpoint(
        "/jobs/used_nodes",
        {
            "GET": _documented(
                documented.used_nodes,
                "usedNodes",
                "Nodes of running jobs",
                {200: NodesInUse},
                parameters=(TIMESTAMP, SITE, POLICY),
            )
        },
    ),
    Endpoint(
        "/clusters/",
        {
            "GET": _documented(
                documented.clusters, "listClusters", "Lists all clusters", {200: Clusters}, parameters=(CLUSTER, SITE, POLICY)
            )
        },
    ),
    Endpoint(
        "/users/",
        {
            "GET": _documented(
                documented.users, "listUsers", "Lists all users", {200: list[Account]}, parameters=(NOT_JUST_USER, SITE, POLICY)
            ),
            **_twice(
                documented_accounts.create_user,
                "createUser",
                "Creates a user",
                ("POST", "PUT"),
                {200: documented_writes.AtSites, 207: documented_writes.AtSites},
                parameters=(SITES,),
                form=NEW_USER,
                description="By administrators, at releases up to 1.3. 207 where not every site did it.",
            ),
            "DELETE": _writing(
                documented_accounts.delete_user,
                "deleteUser",
                "Deletes a user",
                {200: documented_writes.AtSites, 207: documented_writes.AtSites},
                parameters=(SITES, USERNAME),
                description="By administrators, at releases up to 1.3. 207 where not every site did it.",
            ),
        },
    ),
)

API = Table((_LIST, *_OTHERS, _METRICS, *_WRITES, _JOB), lenient=True)
USERAPI = Table((_LIST, _METRICS, _JOB), lenient=True)
