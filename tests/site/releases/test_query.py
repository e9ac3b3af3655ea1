"""Answers of a site's own GraphQL: whole ones are read; refusals, errors, and halves are not taken for answers."""

from __future__ import annotations

import msgspec
import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.model import Tag
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.releases.query import QueryFailedError, QueryReply, query_data, query_reply, tags_of

NUMBERS = msgspec.json.Decoder(QueryReply[dict[str, int]], strict=False)


def answer(body: bytes, status: int = 200) -> SiteAnswer:
    return SiteAnswer(status, "application/json", body)


def test_tags_come_with_the_sites_own_ids() -> None:
    body = b'{"data":{"tags":[{"id":"7","type":"review","name":"slow","scope":"global"}]}}'
    assert tags_of(answer(body), "aurora") == [Tag("review", "slow", "global", 7)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors":[{"message":"internal system error","path":["tags"]}],"data":null}',
        b'{"errors":[{"message":"internal system error","path":["tags",0,"name"]}],"data":{"tags":[]}}',
        b'{"errors":[{"message":"internal system error"}]}',
        b'{"data":null}',
        b"{}",
    ],
    ids=["no data", "data beside errors", "errors alone", "null", "nothing"],
)
def test_what_failed_is_no_empty_list(body: bytes) -> None:
    with pytest.raises(QueryFailedError) as failed:
        tags_of(answer(body), "aurora")
    assert failed.value.code is Code.SITE_ERROR and failed.value.site == "aurora"


def test_the_words_of_a_failure_are_told_without_what_nobody_may_see() -> None:
    token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmF0dXJl"
    body = msgspec.json.encode({"errors": [{"message": f"cannot read /var/lib/job.db with {token}"}], "data": None})
    with pytest.raises(QueryFailedError) as failed:
        query_data(answer(body), NUMBERS, "aurora")
    assert token not in failed.value.message and "/var/lib" not in failed.value.message and token in failed.value.reasons[0]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, b'{"errors":[{"message":"Cannot query field"}],"data":null}'),
        (422, b""),
        (200, b'{"data":{"n":"many"}}'),
        (200, b'{"data":[1]}'),
        (200, b"[]"),
        (200, b'{"errors":"none","data":{"n":1}}'),
    ],
)
def test_an_answer_to_another_question_is_of_another_release(status: int, body: bytes) -> None:
    with pytest.raises(SiteError) as failed:
        query_reply(answer(body, status), NUMBERS, "aurora")
    assert failed.value.code is Code.WRONG_RELEASE


def test_halves_are_read_where_they_are_asked_for_as_such() -> None:
    told = query_reply(answer(b'{"errors":[{"message":"no such job","path":["b"]}],"data":{"a":1}}'), NUMBERS, "aurora")
    assert told.data == {"a": 1} and [(one.message, one.path) for one in told.errors or ()] == [("no such job", ["b"])]


def test_no_errors_are_none() -> None:
    assert query_data(answer(b'{"errors":[],"data":{"a":1}}'), NUMBERS, "aurora") == {"a": 1}
