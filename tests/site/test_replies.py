"""What an answer means, in every form in which cc-backend and what stands in front of it fail."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, SiteError
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.replies import decode, reason_of, refuse
from support.recordings import recorded


class Answer(msgspec.Struct):
    jobs: list[int]
    note: str = ""


DECODER = msgspec.json.Decoder(Answer)


def failure(body: bytes, *, status: int = 200, kind: str = "application/json", location: str | None = None) -> SiteError:
    with pytest.raises(SiteError) as error:
        decode(SiteAnswer(status, kind, body, location), DECODER, "here")
    assert error.value.site == "here"
    assert len(error.value.message) < 600
    return error.value


@pytest.mark.parametrize("status", [200, 201, 206])
def test_a_good_answer_is_decoded(status: int) -> None:
    assert decode(SiteAnswer(status, "application/json", b'{"jobs":[1],"items":25}'), DECODER, "here").jobs == [1]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json, application/json", "text/html"])
def test_a_good_answer_is_decoded_whatever_its_content_type(kind: str) -> None:
    assert decode(SiteAnswer(200, kind, b'{"jobs":[1]}'), DECODER, "here").jobs == [1]


@pytest.mark.parametrize("rest", [b"\n", b' {"jobs":[2]}', b"\n{}", b"]", b"  garbage", b"\xff\xfe"])
def test_of_two_documents_in_one_body_the_first_counts(rest: bytes) -> None:
    assert decode(SiteAnswer(200, "application/json", b'{"jobs":[1]}' + rest), DECODER, "here").jobs == [1]


@pytest.mark.parametrize(
    ("body", "kind", "code", "words"),
    [
        (b"", "", Code.BAD_ANSWER, "empty"),
        (b"  \n", "application/json", Code.BAD_ANSWER, "empty"),
        (b"<!DOCTYPE html><title>Login</title>", "text/html", Code.BAD_ANSWER, "web page"),
        (b"\n <html>", "application/json", Code.BAD_ANSWER, "web page"),
        (b"plain text", "text/html", Code.BAD_ANSWER, "web page"),
        (b'{"jobs":[1', "application/json", Code.BAD_ANSWER, "complete JSON"),
        (b'{"jobs":[NaN]}', "application/json", Code.BAD_ANSWER, "JSON"),
        (b"404 page not found\n", "text/plain", Code.WRONG_RELEASE, "fit"),
        (b'{"jobs":[],"note":"\xff\xfe"}', "application/json", Code.BAD_ANSWER, "JSON"),
        (b'{"jobs":[],"note":"\xe9t\xe9"}', "application/json", Code.BAD_ANSWER, "JSON"),
        (b"\x1f\x8b\x08\x00", "application/json", Code.BAD_ANSWER, "JSON"),
        (b'{"jobs":[1e999]}', "application/json", Code.WRONG_RELEASE, "fit"),
        (b'{"jobs":null}', "application/json", Code.WRONG_RELEASE, "fit"),
        (b'{"job":[]}', "application/json", Code.WRONG_RELEASE, "fit"),
        (b"[]", "application/json", Code.WRONG_RELEASE, "fit"),
        (b"null", "application/json", Code.WRONG_RELEASE, "fit"),
        (b'{"data":null,"error":{"message":"no rows"}}', "application/json", Code.SITE_ERROR, "no rows"),
        (b'{"status":"x","error":"archive is gone"}', "application/json", Code.SITE_ERROR, "archive is gone"),
        (b"[" * 100_000, "application/json", Code.WRONG_RELEASE, "fit"),
        (b'{"x":' + b"[" * 100_000, "application/json", Code.BAD_ANSWER, "JSON"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json", Code.BAD_ANSWER, "JSON"),
        (b'{"x":' * 100_000, "application/json", Code.BAD_ANSWER, "JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_success_that_is_none_says_what_it_is(body: bytes, kind: str, code: Code, words: str) -> None:
    error = failure(body, kind=kind)
    assert (error.code, words in error.message) == (code, True), error.message


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, Code.SITE_REFUSED, False),
        (401, Code.SITE_UNAUTHORIZED, False),
        (403, Code.SITE_UNAUTHORIZED, False),
        (404, Code.WRONG_RELEASE, False),
        (405, Code.WRONG_RELEASE, False),
        (409, Code.SITE_REFUSED, False),
        (422, Code.SITE_REFUSED, False),
        (301, Code.BAD_ANSWER, False),
        (302, Code.BAD_ANSWER, False),
        (304, Code.BAD_ANSWER, False),
        (500, Code.SITE_ERROR, True),
        (501, Code.SITE_ERROR, True),
        (100, Code.SITE_REFUSED, False),
    ],
)
def test_each_status_has_a_code(status: int, code: Code, retryable: bool) -> None:
    for body in (b"", b'{"jobs":[1]}', b"<html>"):
        error = failure(body, status=status)
        assert (error.code, error.retryable) == (code, retryable)
        assert f"HTTP {status}" in error.message or code is Code.BAD_ANSWER


@pytest.mark.parametrize("location", [None, "https://elsewhere.example/api/jobs/", "/login?token=x"])
def test_a_redirect_tells_where_to_and_is_not_followed(location: str | None) -> None:
    assert (location or "nowhere") in failure(b"", status=301, location=location).message


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b'{"status":"Bad Request","error":"invalid query parameter: x"}', "application/json", "invalid query parameter: x"),
        (b'{"error":{"message":"not allowed"}}', "application/json", "not allowed"),
        (b'{"message":"m"}', "application/json", "m"),
        (b'{"msg":"m"}', "application/json", "m"),
        (b'{"error":null}', "application/json", ""),
        (b'{"error":{}}', "application/json", ""),
        (b'{"error":{"message":{"deep":1}}}', "application/json", "{'deep': 1}"),
        (b'{"error":"once"}\n{"error":"twice"}\n', "application/json", "once"),
        (b"token is expired\n", "text/plain", "token is expired"),
        (b"<html>secret page</html>", "text/html", ""),
        (b"  <html>secret page</html>", "text/plain", ""),
        (b"", "", ""),
        (b"[1]", "application/json", "[1]"),
        (b"\xff\xfe", "text/plain", "\ufffd\ufffd"),
        (b'{"error":"\xff"}', "application/json", "\ufffd"),
        (b"[" * 100_000, "application/json", "[" * 299 + "…"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_sites_own_reason_is_found_in_every_form(body: bytes, kind: str, reason: str) -> None:
    assert reason_of(SiteAnswer(500, kind, body)) == reason


@pytest.mark.parametrize("release", ["1.4", "1.5"])
def test_the_recorded_double_answer_gives_one_reason(release: str) -> None:
    assert reason_of(recorded(release, "list as norole", "norole")) == "unauthorized"


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
@pytest.mark.parametrize(
    ("case", "code", "words"),
    [
        ("list: ?state=nonsense", Code.SITE_REFUSED, "state"),
        ("list: ?user=alice", Code.SITE_REFUSED, "invalid query parameter: user"),
        ("unknown path", Code.WRONG_RELEASE, "HTTP 404"),
        ("metrics, unknown id", Code.SITE_ERROR, "no rows"),
    ],
)
def test_recorded_failures(release: str, case: str, code: Code, words: str) -> None:
    with pytest.raises(SiteError) as error:
        decode(recorded(release, case), DECODER, "here")
    assert error.value.code is code
    assert words in error.value.message


@given(
    body=st.one_of(st.binary(max_size=60), st.text('{}[]":,jobserr0e9.-nulltrue \n<', max_size=60).map(str.encode)),
    status=st.sampled_from([200, 500, 302]),
)
def test_any_body_is_an_answer_or_a_site_error(body: bytes, status: int) -> None:
    for kind in ("application/json", "text/plain", "text/html", ""):
        try:
            decode(SiteAnswer(status, kind, body), DECODER, "here")
        except SiteError as error:
            assert error.code in (Code.BAD_ANSWER, Code.WRONG_RELEASE, Code.SITE_ERROR)
        else:
            assert status == 200


@given(rest=st.binary(max_size=20))
def test_whatever_follows_the_first_document_it_counts_alone(rest: bytes) -> None:
    assert decode(SiteAnswer(200, "application/json", b'{"jobs":[1]}\n' + rest), DECODER, "here").jobs == [1]


def test_a_token_in_a_sites_words_is_not_repeated() -> None:
    token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
    for body in (f'{{"error":"bad token {token}"}}', f"bad token {token}", f"Authorization: Bearer {token}", "bearer s3cret"):
        message = refuse(SiteAnswer(401, "text/plain", body.encode()), "here").message
        assert token not in message
        assert "s3cret" not in message


def test_sql_in_a_sites_words_is_not_repeated() -> None:
    message = refuse(SiteAnswer(500, "text/plain", b"no such column: SELECT id FROM job WHERE x"), "here").message
    assert "SELECT" not in message
    assert "database error" in message
