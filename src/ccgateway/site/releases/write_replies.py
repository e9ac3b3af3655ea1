"""What a site's answer to a write says about its effect: done, refused before anything happened, so already, or in doubt.

cc-backend answers 500 both before and after a write took effect, so only words that it says before are taken as a refusal; every
other failure is in doubt, and what is true has to be read back.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.replies import NOT_JSON, no_such_job, refuse

__all__ = [
    "JOB_PATTERNS", "NEW_USER_PATTERNS", "START_PATTERNS", "STOP_PATTERNS", "TAG_PATTERNS", "USER_PATTERNS", "Effect", "End",
    "ErrorPattern", "Reply", "deleted_count", "understand", "understand_empty", "understand_mutation",
]  # fmt: skip


class Effect(Enum):
    """What is known of a write's effect."""

    DONE = "done"
    REFUSED = "refused"
    ALREADY = "already"
    DOUBT = "doubt"


class End(Enum):
    """How the request ended: with an answer, with a broken connection, or with nothing, so that the site may still be at it."""

    ANSWERED = "answered"
    CUT = "cut"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request. ``error``: why not; ``number``: a database id or a count that the answer tells; ``job``: the
    cluster and number of the job that it tells; ``start``: that job's start second; ``meta``: its metadata."""

    effect: Effect
    error: SiteError | None = None
    end: End = End.ANSWERED
    number: int | None = None
    job: tuple[str, int] | None = None
    start: int | None = None
    meta: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ErrorPattern:
    """A phrase of the site's error answers, in lower case, and what it means for the write in question."""

    phrase: str
    effect: Effect
    code: Code
    message: str


_NO_JOB = "The site has no such job, or does not show it."  # the words that reading has for it as well
_TAKEN = "The site has another job of that number on that cluster, started less than a day before this one, or later."
#: on a job that is started, or stopped; on any other write to a job
START_PATTERNS = (
    ErrorPattern("already exists", Effect.REFUSED, Code.CONFLICT, _TAKEN),
    ErrorPattern("unique constraint failed: job", Effect.ALREADY, Code.CONFLICT, "The site has that job already."),
    ErrorPattern("check constraint failed", Effect.REFUSED, Code.SITE_REFUSED, "The site's database refuses a value of the job."),
)
STOP_PATTERNS = (
    ErrorPattern("no rows in result set", Effect.REFUSED, Code.NOT_FOUND, _NO_JOB),
    ErrorPattern("already been stopped", Effect.REFUSED, Code.CONFLICT, "The job has been stopped already."),
    ErrorPattern(
        "only running jobs can be stopped", Effect.REFUSED, Code.CONFLICT, "The job has been stopped already, or starts later."
    ),
)
JOB_PATTERNS = (ErrorPattern("no rows in result set", Effect.REFUSED, Code.NOT_FOUND, _NO_JOB),)
_OTHER_SCOPE = "The site has a tag of that type and name in another scope, and keeps one only."
_NOT_YOURS = "The site does not let this user write tags of that scope."
#: on one tag of one job
TAG_PATTERNS = (
    ErrorPattern("unique constraint failed: jobtag", Effect.ALREADY, Code.CONFLICT, "The job has that tag already."),
    ErrorPattern("unique constraint failed: tag.", Effect.REFUSED, Code.CONFLICT, _OTHER_SCOPE),
    ErrorPattern("cannot write tag scope", Effect.REFUSED, Code.SITE_UNAUTHORIZED, _NOT_YOURS),
    ErrorPattern("not authorized to", Effect.REFUSED, Code.SITE_UNAUTHORIZED, _NOT_YOURS),
    ErrorPattern("foreign key constraint failed", Effect.REFUSED, Code.NOT_FOUND, _NO_JOB),
    ErrorPattern("tag does not exist", Effect.ALREADY, Code.NOT_FOUND, "The site has no such tag."),
)
#: on a user's roles and projects; on a new user
USER_PATTERNS = (
    ErrorPattern("no rows in result set", Effect.REFUSED, Code.NOT_FOUND, "The site has no such user."),
    ErrorPattern("already has role", Effect.ALREADY, Code.CONFLICT, "The user has that role already."),
    ErrorPattern("role already deleted", Effect.ALREADY, Code.CONFLICT, "The user does not have that role."),
    ErrorPattern("already manages project", Effect.ALREADY, Code.CONFLICT, "The user manages that project already."),
    ErrorPattern("does not match", Effect.ALREADY, Code.CONFLICT, "The user does not manage that project."),
)
NEW_USER_PATTERNS = (
    ErrorPattern("unique constraint failed: user", Effect.REFUSED, Code.CONFLICT, "The site has a user of that name already."),
    ErrorPattern(
        "only admins are allowed", Effect.REFUSED, Code.SITE_UNAUTHORIZED, "The site lets only administrators create users."
    ),
)

#: answers of a proxy that gave up on the site, which may still be at it; and of one that did not let the request through
_GAVE_UP, _TURNED_AWAY = frozenset({502, 504}), frozenset({429, 503})
#: an error answer says what it has to say in its first bytes
_REASON_BYTES = 16_384
#: what is told in text
_TEXT = re.compile(rb"Deleted Tags from DB: \d+ |(?:Add|Remove) (?:Role|Project) Success")


class _Numbered(msgspec.Struct, rename="camel"):
    id: int | None = None
    job_id: int | None = None
    cluster: str | None = None
    start_time: msgspec.Raw = msgspec.Raw(b"null")
    meta_data: dict[str, str] | None = None


_NUMBERED = msgspec.json.Decoder(_Numbered)


def understand(answer: SiteAnswer, site: str, patterns: Sequence[ErrorPattern] = ()) -> Reply:
    """What ``answer`` to a REST write says, where the phrases of ``patterns`` mean what they say there."""
    status = answer.status
    if 200 <= status < 300:
        return _accepted(answer, site)
    error = refuse(answer, site)
    if status in _GAVE_UP or status in _TURNED_AWAY:
        busy = SiteError(Code.SITE_BUSY, site, f"The site is busy or its proxy cannot reach it (HTTP {status}).")
        return Reply(Effect.DOUBT, busy, End.OPEN if status in _GAVE_UP else End.ANSWERED)
    said = answer.body[:_REASON_BYTES].decode("utf-8", "replace")
    if (known := _known(said, site, patterns)) is not None:
        return known
    if 400 <= status < 500:
        return Reply(Effect.REFUSED, no_such_job(site) if _is_no_such_job(said) else error)
    return Reply(Effect.DOUBT, error)


def understand_empty(answer: SiteAnswer, site: str, patterns: Sequence[ErrorPattern] = ()) -> Reply:
    """The same of a write that is answered with nothing where it succeeds."""
    if answer.status == 200 and not answer.body:
        return Reply(Effect.DONE)
    if 200 <= answer.status < 300:
        what = f"The site's answer is not what it should be (HTTP {answer.status})."
        return Reply(Effect.DOUBT, SiteError(Code.BAD_ANSWER, site, what))
    return understand(answer, site, patterns)


def _known(said: str, site: str, patterns: Sequence[ErrorPattern]) -> Reply | None:
    said = said.lower()
    for pattern in patterns:
        if pattern.phrase in said:
            return Reply(pattern.effect, SiteError(pattern.code, site, pattern.message))
    return None


def _accepted(answer: SiteAnswer, site: str) -> Reply:
    if _TEXT.match(answer.body):
        return Reply(Effect.DONE)
    try:
        told = _NUMBERED.decode(answer.body)
    except NOT_JSON:
        what = "an empty answer" if not answer.body.strip() else "an answer that is not what it should be"
        return Reply(Effect.DOUBT, SiteError(Code.BAD_ANSWER, site, f"The site sent {what} (HTTP {answer.status})."))
    job = (told.cluster, told.job_id) if told.cluster is not None and told.job_id is not None else None
    return Reply(Effect.DONE, number=told.id, job=job, start=_start_in(told.start_time), meta=told.meta_data)


def _start_in(text: msgspec.Raw) -> int | None:
    try:
        value = msgspec.json.decode(text, type=int | dt.datetime | None)
    except msgspec.MsgspecError:  # a year that no date can have
        return None
    return int(value.timestamp()) if isinstance(value, dt.datetime) else value


_DELETED = re.compile(rb"deleted (\d{1,18}) jobs?\b")


def deleted_count(answer: SiteAnswer) -> int | None:
    """How many jobs the site says it deleted."""
    found = _DELETED.search(answer.body)
    return int(found[1]) if found else None


class _Complaint(msgspec.Struct):
    message: str = ""


class _Told(msgspec.Struct):
    data: dict[str, msgspec.Raw] | None = None
    errors: list[_Complaint] | None = None


class _Identified(msgspec.Struct):
    id: int | str


_TOLD = msgspec.json.Decoder(_Told)


def understand_mutation(answer: SiteAnswer, site: str, patterns: Sequence[ErrorPattern] = ()) -> Reply:
    """What ``answer`` to a mutation at the site's own GraphQL says: with status 200, whether it succeeded or not."""
    if answer.status != 200:
        return understand(answer, site, patterns)
    try:
        told = _TOLD.decode(answer.body)
    except NOT_JSON:
        return _accepted(answer, site)
    if told.errors:
        said = "; ".join(one.message for one in told.errors)
        failed = refuse(SiteAnswer(500, "application/json", msgspec.json.encode({"error": said})), site)
        return _known(said, site, patterns) or Reply(Effect.DOUBT, no_such_job(site) if _is_no_such_job(said) else failed)
    if not told.data:
        return Reply(Effect.DOUBT, SiteError(Code.BAD_ANSWER, site, "The site's own GraphQL answered nothing."))
    return Reply(Effect.DONE, number=_id_in(told.data))


def _id_in(data: dict[str, msgspec.Raw]) -> int | None:
    """The id of the one object that a mutation gave."""
    for value in data.values():
        try:
            return int(msgspec.json.decode(value, type=_Identified).id)
        except (*NOT_JSON, ValueError):
            continue
    return None


def _is_no_such_job(said: str) -> bool:
    return "no rows in result set" in said
