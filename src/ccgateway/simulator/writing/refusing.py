"""Each release's forms of "no" to a write."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import GoError, Response, json_error, parse_int, text_response
from ccgateway.simulator.release import Release
from ccgateway.simulator.writing.bodies import JobKey

__all__ = [
    "NO_ROWS",
    "RefusedError",
    "bad_body",
    "crashed",
    "job_id_of",
    "job_of_key",
    "one_of",
    "readable",
    "with_job_id",
    "worded",
]

T = TypeVar("T")
Key = TypeVar("Key", bound=JobKey)

NO_ROWS = "sql: no rows in result set"


class RefusedError(Exception):
    """A request that ends early with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def worded(release: Release, status: int, doing: str, reason: object) -> Response:
    """Plain text with the bare reason up to 1.4, JSON that says what was being done from 1.5 on."""
    return text_response(status, str(reason)) if release.text_errors else json_error(status, f"{doing}: {reason}")


def crashed() -> Response:
    """A panic in a handler, such as following a null that a body holds: the connection stays, the answer is empty."""
    return Response(500)


def bad_body(reason: GoError) -> Response:
    """How start, stop and delete refuse what they cannot read."""
    return json_error(400, f"parsing request body failed: {reason}")


def readable(read: Callable[[bytes], T], body: bytes) -> T:
    """What *read* makes of a body.

    Raises:
        RefusedError: it cannot.
    """
    try:
        return read(body)
    except GoError as bad:
        raise RefusedError(bad_body(bad)) from bad


def job_id_of(text: str, name: str = "id") -> int:
    """A number in a path.

    Raises:
        RefusedError: it is none.
    """
    try:
        return parse_int(text)
    except GoError as bad:
        raise RefusedError(json_error(400, f"integer expected in path for {name}: {bad}")) from bad


def one_of(found: list[Job], release: Release) -> Job | None:
    """The job that is meant when a key fits several."""
    if not found:
        return None
    return found[-1] if release.newest_match else found[0]


def with_job_id(key: JobKey) -> int:
    """The scheduler id of a key, which needs one.

    Raises:
        RefusedError: it has none.
    """
    if key.job_id is None:
        raise RefusedError(json_error(400, "the field 'jobId' is required"))
    return key.job_id


def job_of_key(call: Call, read: Callable[[bytes], Key]) -> tuple[Key, Job]:
    """A body that holds a key, as *read* makes of it, and the job that it names.

    Raises:
        RefusedError: it cannot be read, the key is incomplete, or there is no such job.
    """
    key = readable(read, call.request.body)
    job = one_of(call.backend.jobs.find(with_job_id(key), key.cluster, key.start_time), call.release)
    if job is None:
        raise RefusedError(json_error(422, f"finding job failed: {NO_ROWS}"))
    return key, job
