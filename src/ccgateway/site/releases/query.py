"""What goes by the site's own GraphQL: clusters where REST does not tell them; reading tags, and writing them where REST cannot.

Up to 1.3 REST cannot take a tag from a job; from 1.4 on it lets administrators and API users write only, and silently skips
private tags. ``POST /query`` asks no role, and checks scopes itself (from 1.4 on).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from ccgateway.errors import Code, SiteError, redact
from ccgateway.jobs.model import Tag
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.releases.write_replies import TAG_PATTERNS, Reply, understand_mutation
from ccgateway.site.replies import decode, reason_of

__all__ = [
    "Complaint", "QueryFailedError", "QueryReply", "add_tags_request", "check_known", "clusters_request",
    "create_tag_request", "data_in", "mutated", "query_data", "query_reply", "query_request", "remove_from_job_request",
    "remove_from_list_request", "tags_of", "tags_request",
]  # fmt: skip


T = TypeVar("T")


class Complaint(msgspec.Struct):
    """One of the errors of an answer, and to which part of it that belongs."""

    message: str = ""
    path: list[str | int] | None = None


class QueryReply(msgspec.Struct, Generic[T]):
    """An answer of the site's own GraphQL, to be decoded by ``msgspec.json.Decoder(QueryReply[T], strict=False)``."""

    data: T | None = None
    errors: list[Complaint] | None = None


class _Tags(msgspec.Struct):
    tags: list[Tag]


_TAGS = msgspec.json.Decoder(QueryReply[_Tags], strict=False)


class QueryFailedError(SiteError):
    """The site's own GraphQL answered with errors. ``reasons``: its own words, not fit to be shown."""

    def __init__(self, errors: Sequence[Complaint] | None, site: str) -> None:
        self.reasons = tuple(error.message for error in (errors or ())[:_MOST_REASONS])
        words = redact("; ".join(self.reasons))
        super().__init__(Code.SITE_ERROR, site, f"The site's own GraphQL failed: {words or 'it gave no reason'}")


#: errors of one answer that are looked at
_MOST_REASONS = 20


def query_request(document: str, variables: Mapping[str, object] | None = None) -> SiteRequest:
    """A question to the site's own GraphQL."""
    body = {"query": document} | ({"variables": variables} if variables else {})
    return SiteRequest("POST", "/query", msgspec.json.encode(body))


def query_data(answer: SiteAnswer, decoder: msgspec.json.Decoder[QueryReply[T]], site: str) -> T:
    """The data of an answer that has no errors. ``QueryFailedError`` for one that has, also where there is data beside them;
    else as ``query_reply``."""
    return data_in(query_reply(answer, decoder, site), site)


def data_in(told: QueryReply[T], site: str) -> T:
    """The data of what was told. ``QueryFailedError`` where there are errors."""
    if told.data is None or told.errors:
        raise QueryFailedError(told.errors, site)
    return told.data


def query_reply(answer: SiteAnswer, decoder: msgspec.json.Decoder[QueryReply[T]], site: str) -> QueryReply[T]:
    """Data and errors of an answer. ``WRONG_RELEASE`` as ``check_known``, or where its answer does not fit."""
    check_known(answer, site)
    return decode(answer, decoder, site)


def check_known(answer: SiteAnswer, site: str) -> None:
    """``WRONG_RELEASE`` where the site's schema does not know what was asked for (HTTP 422)."""
    if answer.status == 422:
        message = f"The site's own GraphQL does not know the question (HTTP 422): {reason_of(answer) or 'it gave no reason'}"
        raise SiteError(Code.WRONG_RELEASE, site, message)


def clusters_request(*, metrics_in_subclusters: bool) -> SiteRequest:
    """The clusters, without their partitions, as REST tells them."""
    unit, value = "unit{base prefix}", "{unit{base prefix} value}"
    thresholds = "peak normal caution alert"
    metrics = f"metricConfig{{name {unit} scope aggregation timestep {thresholds} %s subClusters{{name {thresholds} remove}}}}"
    above = "" if metrics_in_subclusters else metrics % ""
    below = f"footprint {metrics % 'lowerIsBetter'}" if metrics_in_subclusters else ""
    rates = f"flopRateScalar{value} flopRateSimd{value} memoryBandwidth{value}"
    topology = "topology{node socket memoryDomain die core accelerators{id type model}}"
    cores = "socketsPerNode coresPerSocket threadsPerCore"
    return query_request(
        f"{{clusters{{name {above} subClusters{{name nodes processorType {cores} {rates} {topology} {below}}}}}}}"
    )


def tags_request(*, scopes: bool) -> SiteRequest:
    """Every tag that the token may read."""
    return query_request(f"{{tags{{id type name{' scope' if scopes else ''}}}}}")


def tags_of(answer: SiteAnswer, site: str) -> list[Tag]:
    """The tags, each with the site's own id."""
    return query_data(answer, _TAGS, site).tags


def create_tag_request(tag: Tag, *, scopes: bool) -> SiteRequest:
    """A new tag."""
    variables = {"type": tag.type, "name": tag.name} | ({"scope": tag.scope} if scopes else {})
    names = ("type", "name", "scope") if scopes else ("type", "name")
    given = ",".join(f"{name}:${name}" for name in names)
    return _mutation(f"createTag({given}){{id}}", dict.fromkeys(names, "String!"), variables)


def add_tags_request(db_id: int, tag_ids: Sequence[int]) -> SiteRequest:
    """Tags of the list on a job."""
    return _mutation("addTagsToJob(job:$job,tagIds:$tags){id}", {"job": "ID!", "tags": "[ID!]!"}, _of_job(db_id, tag_ids))


def remove_from_job_request(db_id: int, tag_ids: Sequence[int]) -> SiteRequest:
    """Tags from a job; one that it does not have is no error."""
    return _mutation("removeTagsFromJob(job:$job,tagIds:$tags){id}", {"job": "ID!", "tags": "[ID!]!"}, _of_job(db_id, tag_ids))


def remove_from_list_request(tag_ids: Sequence[int]) -> SiteRequest:
    """Tags altogether, from 1.4 on."""
    return _mutation("removeTagFromList(tagIds:$tags)", {"tags": "[ID!]!"}, {"tags": [str(one) for one in tag_ids]})


def mutated(answer: SiteAnswer, site: str) -> Reply:
    """What the answer to one of these mutations, about one tag, says."""
    return understand_mutation(answer, site, TAG_PATTERNS)


def _of_job(db_id: int, tag_ids: Sequence[int]) -> dict[str, object]:
    return {"job": str(db_id), "tags": [str(one) for one in tag_ids]}


def _mutation(call: str, types: dict[str, str], variables: Mapping[str, object]) -> SiteRequest:
    declared = ",".join(f"${name}:{kind}" for name, kind in types.items())
    body = msgspec.json.encode({"query": f"mutation({declared}){{{call}}}", "variables": variables})
    return SiteRequest("POST", "/query", body, safe=False)
