"""What ``/cc-backend/1.5`` offers: every path and method, what they take and give."""

from __future__ import annotations

from typing import Any

from ccgateway.surfaces.rest import released, released_accounts, released_writes
from ccgateway.surfaces.rest.bodies import ENDED, NAMED, NAMED_PAIR, NODES, PAIR, STARTED, TAGS, USER, schema_of
from ccgateway.surfaces.rest.clusters import Account, Clusters
from ccgateway.surfaces.rest.endpoints import FAILURES, Endpoint, Handler, Operation, Table
from ccgateway.surfaces.rest.forms import NEW_USER
from ccgateway.surfaces.rest.jobs import Job
from ccgateway.surfaces.rest.nodes import NodesInUse
from ccgateway.surfaces.rest.parameters import (
    ALL_METRICS,
    CLUSTER,
    METRICS,
    NAMES,
    NOT_JUST_USER,
    OMIT_TAGGED,
    POLICY,
    RELEASED_LIST,
    SITE,
    SITES,
    TIMESTAMP,
    USERNAME,
)  # fmt: skip
from ccgateway.surfaces.rest.styles import ReleasedFailure

__all__ = ["RELEASED_API", "RELEASED_USERAPI"]


def _released(run: Handler, name: str, summary: str, answers: dict[int, Any], **more: Any) -> Operation:
    return Operation(run=run, name=name, summary=summary, answers=answers, failures=FAILURES, failure=ReleasedFailure, **more)


_READS = (
    Endpoint(
        "/jobs/",
        {"GET": _released(released.list_jobs, "listJobs", "Lists all jobs", {200: released.JobPage}, parameters=RELEASED_LIST)},
    ),
    Endpoint(
        "/jobs/metrics/{id}",
        {
            "GET": _released(
                released.job_metrics, "getJobMetrics", "Metrics of a job", {200: released.Metrics, 304: None}, parameters=METRICS
            )
        },
    ),
)
_SINGLE = Endpoint(
    "/jobs/{id}",
    {
        "GET": _released(
            released.single_job,
            "getJob",
            "Job, and optionally all its metrics",
            {200: released.Single, 304: None},
            parameters=(ALL_METRICS,),
        ),
        "POST": _released(
            released.single_job_with, "getJobWith", "Job with the metrics named", {200: released.Single}, body=NAMES
        ),
    },
)


def _both(
    run: Handler, name: str, summary: str, methods: tuple[str, str], answers: dict[int, Any], **more: Any
) -> dict[str, Operation]:
    first, second = methods
    again = f"{name}By{second.capitalize()}"
    return {first: _released(run, name, summary, answers, **more), second: _released(run, again, summary, answers, **more)}


_RELEASED_WRITES = (
    Endpoint(
        "/jobs/start_job/",
        _both(
            released_writes.start_job,
            "startJob",
            "Starts a job",
            ("POST", "PUT"),
            {201: released_writes.Message},
            parameters=(SITE,),
            body=schema_of(STARTED),
        ),
    ),
    Endpoint(
        "/jobs/stop_job/",
        _both(
            released_writes.stop_named_job,
            "stopJob",
            "Stops a job",
            ("POST", "PUT"),
            {200: Job},
            parameters=(SITE,),
            body=schema_of(ENDED),
        ),
    ),
    Endpoint(
        "/jobs/tag_job/{id}",
        {
            **_both(released_writes.tag_job, "tagJob", "Adds tags to a job", ("POST", "PATCH"), {200: Job}, body=schema_of(TAGS)),
            "DELETE": _released(
                released_writes.untag_job, "untagJob", "Removes tags from a job", {200: Job}, body=schema_of(TAGS)
            ),
        },
    ),
    Endpoint(
        "/jobs/edit_meta/{id}",
        {"PATCH": _released(released_writes.edit_meta, "editMeta", "Edits metadata", {200: Job}, body=schema_of(PAIR))},
    ),
    Endpoint(
        "/jobs/edit_meta/",
        {
            "PATCH": _released(
                released_writes.edit_named_meta,
                "editMetaByKey",
                "Edits metadata of the job of a key",
                {200: Job},
                parameters=(SITE,),
                body=schema_of(NAMED_PAIR),
            )
        },
    ),
    Endpoint(
        "/jobs/delete_job/",
        {
            "DELETE": _released(
                released_writes.delete_named_job,
                "deleteJobByKey",
                "Deletes the job of a key",
                {200: released_writes.Message},
                parameters=(SITE,),
                body=schema_of(NAMED),
            )
        },
    ),
    Endpoint(
        "/jobs/delete_job/{id}",
        {"DELETE": _released(released_writes.delete_job, "deleteJob", "Deletes a job", {200: released_writes.Message})},
    ),
    Endpoint(
        "/jobs/delete_job_before/{ts}",
        {
            "DELETE": _released(
                released_writes.delete_before,
                "deleteJobsBefore",
                "Deletes jobs that started before",
                {200: released_writes.Message, 207: released_writes.FailedAtSites},
                parameters=(SITES, OMIT_TAGGED),
            )
        },
    ),
    Endpoint(
        "/tags/",
        {
            "DELETE": _released(
                released_writes.remove_tags,
                "removeTags",
                "Removes tags altogether",
                {200: str, 207: released_writes.FailedAtSites},
                parameters=(SITES,),
                body=schema_of(TAGS),
            )
        },
    ),
    Endpoint(
        "/user/{id}",
        {
            "POST": _released(
                released_accounts.change_user,
                "changeUser",
                "Adds a role or project of a user, or removes one",
                {200: released_writes.Message, 207: released_writes.FailedAtSites},
                parameters=(SITES,),
                body=schema_of(USER),
            )
        },
    ),
    Endpoint(
        "/nodestate/",
        _both(
            released_writes.update_nodes,
            "updateNodeStates",
            "Takes what a scheduler says of nodes",
            ("POST", "PUT"),
            {200: None},
            parameters=(SITE,),
            body=schema_of(NODES),
        ),
    ),
)
_RELEASED_OTHERS = (
    Endpoint(
        "/jobs/used_nodes",
        {
            "GET": _released(
                released.used_nodes, "usedNodes", "Used nodes", {200: NodesInUse}, parameters=(TIMESTAMP, SITE, POLICY)
            )
        },
    ),
    Endpoint(
        "/clusters/",
        {
            "GET": _released(
                released.clusters, "listClusters", "Lists clusters", {200: Clusters}, parameters=(CLUSTER, SITE, POLICY)
            )
        },
    ),
    Endpoint(
        "/users/",
        {
            "GET": _released(
                released.users, "listUsers", "Lists users", {200: list[Account]}, parameters=(NOT_JUST_USER, SITE, POLICY)
            ),
            **_both(
                released_accounts.create_user,
                "createUser",
                "Creates a user, at releases up to 1.3",
                ("POST", "PUT"),
                {200: str, 207: released_writes.FailedAtSites},
                parameters=(SITES,),
                form=NEW_USER,
            ),
            "DELETE": _released(
                released_accounts.delete_user,
                "deleteUser",
                "Deletes a user, at releases up to 1.3",
                {200: None, 207: released_writes.FailedAtSites},
                parameters=(SITES, USERNAME),
            ),
        },
    ),
)

RELEASED_API = Table((*_READS, *_RELEASED_OTHERS, *_RELEASED_WRITES, _SINGLE), lenient=False)
RELEASED_USERAPI = Table((*_READS, _SINGLE), lenient=False)
