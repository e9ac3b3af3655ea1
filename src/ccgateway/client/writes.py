"""The orders: each a plan whose requests have idempotency keys, and which ends with an outcome for each order."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ccgateway.client.errors import GatewayError, error_of
from ccgateway.client.filters import When, instant, tag_of, written
from ccgateway.client.plans import Plan, Request, Resend, decoded
from ccgateway.client.reads import JobId, id_of
from ccgateway.client.values import Job, Outcome, Tag

__all__ = ["Edits", "JobIds", "Tags", "delete", "edit", "start", "stop", "tag", "untag"]

JobIds: TypeAlias = JobId | Iterable[JobId]
Tags: TypeAlias = Tag | str | Iterable[Tag | str]
#: jobs, and what to write into the metadata of each
Edits: TypeAlias = Mapping[Any, Mapping[str, str]] | Iterable[tuple[JobId, Mapping[str, str]]]

#: orders of one call, so that each ends before anybody's patience does
AT_ONCE = 100

_RESULT = "{ outcome site id code message retryable }"


def _jobs(wanted: JobIds) -> list[JobId]:
    return [wanted] if isinstance(wanted, Job | str | int) else list(wanted)


def _target(wanted: JobId) -> dict[str, Any]:
    """A job by its id, and by its key where that is known: sites use their numbers again."""
    if not isinstance(wanted, Job):
        return {"id": id_of(wanted)}
    return {
        "id": wanted.id, "site": wanted.site, "cluster": wanted.cluster, "jobId": wanted.job_id,
        "startTime": written(wanted.start_time),
    }  # fmt: skip


def _sent(
    name: str,
    arguments: Mapping[str, tuple[str, Any]],
    orders: tuple[str, str, Sequence[Any]],
    key: str | None,
    resend: Resend = Resend.ORDER,
) -> Plan[list[Outcome]]:
    """The mutation ``name`` over ``orders`` (argument, type, values), a piece at a time. Where one is refused, none is sent after
    it: the error has the outcomes so far, and the key with which the same call may be made again."""
    argument, kind, values = orders
    key = uuid.uuid4().hex if key is None else key
    outcomes: list[Outcome] = []
    for number, first in enumerate(range(0, len(values), AT_ONCE)):
        given = {
            argument: (kind, values[first : first + AT_ONCE]),
            **arguments,
            "idempotencyKey": ("String", _piece(key, number)),
        }
        declared = ", ".join(f"${one}: {of}" for one, (of, _) in given.items())
        passed = ", ".join(f"{one}: ${one}" for one in given)
        document = f"mutation ({declared}) {{ {name}({passed}) {_RESULT} }}"
        variables = {one: value for one, (_, value) in given.items()}
        try:
            answer = yield Request(document, variables, resend, partial=True)
            if name not in answer.data:
                raise error_of("BAD_ANSWER", f"The gateway's answer lacks {name}.")
            outcomes += decoded(answer.data[name], list[Outcome])
        except GatewayError as error:
            error.idempotency_key, error.outcomes = key, tuple(outcomes)
            raise
    return outcomes


def _piece(key: str, number: int) -> str:
    return key if number == 0 else f"{key}-{number}"


def tag(jobs: JobIds, tags: Tags, key: str | None) -> Plan[list[Outcome]]:
    """Puts tags on jobs."""
    return _tagging("tagJobs", jobs, tags, key)


def untag(jobs: JobIds, tags: Tags, key: str | None) -> Plan[list[Outcome]]:
    """Takes tags from jobs."""
    return _tagging("untagJobs", jobs, tags, key)


def _tagging(name: str, jobs: JobIds, tags: Tags, key: str | None) -> Plan[list[Outcome]]:
    wanted = [tags] if isinstance(tags, Tag | str) else list(tags)
    if not wanted:
        raise ValueError("no tag is given")
    values = [{"type": one.type, "name": one.name, "scope": one.scope} for one in map(tag_of, wanted)]
    targets = [_target(one) for one in _jobs(jobs)]
    return _sent(name, {"tags": ("[TagInput!]!", values)}, ("jobs", "[JobTarget!]!", targets), key)


def edit(edits: Edits, key: str | None) -> Plan[list[Outcome]]:
    """Sets keys of jobs' metadata."""
    pairs = edits.items() if isinstance(edits, Mapping) else edits
    orders = [{"job": _target(one), "values": dict(texts)} for one, texts in pairs]
    return _sent("editJobsMeta", {}, ("jobs", "[JobMetaInput!]!", orders), key)


def start(jobs: Iterable[Mapping[str, Any]], key: str | None) -> Plan[list[Outcome]]:
    """Records jobs that have started."""
    orders = [{**one, "startTime": written(instant(one["startTime"]))} if "startTime" in one else dict(one) for one in jobs]
    return _sent("startJobs", {}, ("jobs", "[StartJobInput!]!", orders), key)


def stop(jobs: JobIds, state: str, stop_time: When | None, key: str | None) -> Plan[list[Outcome]]:
    """Records that jobs have ended; now, if no time is given."""
    moment = written(instant("0s" if stop_time is None else stop_time))
    orders = [{"job": _target(one), "stopTime": moment, "state": state} for one in _jobs(jobs)]
    return _sent("stopJobs", {}, ("jobs", "[StopJobInput!]!", orders), key)


def delete(jobs: JobIds, key: str | None, *, dry_run: bool) -> Plan[list[Outcome]]:
    """Deletes jobs from their sites' databases."""
    targets = [_target(one) for one in _jobs(jobs)]
    arguments = {"dryRun": ("Boolean!", dry_run)}
    return _sent("deleteJobs", arguments, ("jobs", "[JobTarget!]!", targets), key, Resend.UNSENT)
