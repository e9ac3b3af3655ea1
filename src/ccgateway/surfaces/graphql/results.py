"""What mutations give: one result for each command, or for each site."""

from __future__ import annotations

from enum import Enum

import strawberry

from ccgateway.errors import Code
from ccgateway.jobs import model
from ccgateway.jobs import writes as values
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.fields import computed
from ccgateway.surfaces.graphql.jobs import Job, JobKey, Tag
from ccgateway.surfaces.graphql.selection import row_attributes

__all__ = ["SiteWriteResult", "WriteOutcome", "WriteResult"]

Result = strawberry.Parent[values.WriteResult]


@strawberry.enum(description="What is true at the site once a write has been tried.")
class WriteOutcome(Enum):
    DONE = strawberry.enum_value("DONE", description="It took effect.")
    UNCHANGED = strawberry.enum_value(
        "UNCHANGED", description="It was so already; nothing was changed. Also the outcome of a dry run."
    )
    PENDING = strawberry.enum_value(
        "PENDING",
        description="The site has taken it and will show it later: a job started at release 1.5 has a key and a provisional id.",
    )
    FAILED = strawberry.enum_value("FAILED", description="It did not take effect, or not wholly: the message says what did.")
    UNKNOWN = strawberry.enum_value(
        "UNKNOWN", description="It was sent, and whether it took effect could not be found out: look before sending it again."
    )


def _outcome(result: Result) -> WriteOutcome:
    return WriteOutcome[result.outcome.name]


def _code(result: Result) -> str | None:
    return result.code.value if result.code is not None else None


def _key(result: Result) -> model.JobKey | None:
    return result.key


def _id(result: Result) -> str | None:
    return result.job


def _tag(result: Result) -> model.Tag | None:
    return result.tag


async def _job(result: Result, info: Info) -> model.JobRow | None:
    if result.job is None or result.code is Code.NOT_FOUND or result.outcome is values.WriteOutcome.PENDING:
        return None
    row = await info.context.gateway.job(result.job, info.context.caller, fields=row_attributes(info.selection.children))
    return row if row.key == result.key or result.key is None else None  # its number may be another job's by now


OUTCOME = "What is true at the site now."
CODE = "Why not: an error code, as in `extensions.code`; null if there is nothing to say."
MESSAGE = "The same in words, and what else there is to know."
RETRYABLE = "Whether the same order may succeed a little later."


@strawberry.type(description="What one order about a job came to.")
class WriteResult:
    outcome: WriteOutcome = computed(_outcome, description=OUTCOME)
    site: str | None = strawberry.field(description="The site it went to; null if that could not be told.")
    id: strawberry.ID | None = computed(
        _id, description="The job's id; provisional while its site does not show it yet, null once it is deleted."
    )
    key: JobKey | None = computed(_key, description="The job's key, as far as the whole of it is known.")
    job: Job | None = computed(
        _job,
        description="The job as it is now, read again; null where `id` is and while it is pending, with an error if it cannot be "
        "read.",
    )
    code: str | None = computed(_code, description=CODE)
    message: str | None = strawberry.field(description=MESSAGE)
    retryable: bool = strawberry.field(description=RETRYABLE)


@strawberry.type(description="What an order came to at one site.")
class SiteWriteResult:
    outcome: WriteOutcome = computed(_outcome, description=OUTCOME)
    site: str | None = strawberry.field(description="The site.")
    tag: Tag | None = computed(_tag, description="The tag that it is about; null for deletes.")
    count: int | None = strawberry.field(
        description="How many jobs were deleted, or in a dry run would be; null where the site does not tell, as releases 1.3 "
        "and 1.4 do not."
    )
    code: str | None = computed(_code, description=CODE)
    message: str | None = strawberry.field(description=MESSAGE)
    retryable: bool = strawberry.field(description=RETRYABLE)
