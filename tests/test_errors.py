"""The one table of errors, what errors carry, and what is taken out of a site's words; logs; deadlines."""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.deadline import Deadline
from ccgateway.errors import (
    CODES,
    Code,
    FederationError,
    GatewayError,
    RequestError,
    SettingsError,
    SiteError,
    clean,
    forget_frames,
    redact,
    without_tokens,
)
from ccgateway.telemetry import RedactingFilter, configure_logging
from support.profiles import use_profile

use_profile()

JWT = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJkZW1vIiwicm9sZXMiOlsiYXBpIl19.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"

GRPC = {
    "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "FAILED_PRECONDITION",
    "DEADLINE_EXCEEDED", "UNAVAILABLE", "UNIMPLEMENTED", "DATA_LOSS", "INTERNAL",
}  # fmt: skip


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_row_with_real_statuses(code: Code) -> None:
    row = CODES[code]
    # Apollo's clients send the text when they are told so with 200
    assert HTTPStatus(row.http) >= 400 or (row.http, code) == (200, Code.PERSISTED_QUERY_NOT_FOUND)
    assert row.grpc in GRPC
    assert code.value == code.name


def test_the_table_has_no_row_without_a_code() -> None:
    assert set(CODES) == set(Code)


@pytest.mark.parametrize("code", [code for code, row in CODES.items() if row.http < 500 and code is not Code.RATE_LIMITED])
def test_what_the_caller_did_wrong_is_not_worth_repeating(code: Code) -> None:
    assert not CODES[code].retryable


@pytest.mark.parametrize("code", list(Code))
def test_an_error_is_retryable_as_its_row_says_unless_told_otherwise(code: Code) -> None:
    assert GatewayError(code, "x").retryable is CODES[code].retryable
    assert SiteError(code, "here", "x", retryable=True).retryable is True
    assert SiteError(code, "here", "x", retryable=False).retryable is False
    assert GatewayError(code, "x").row is CODES[code]


def test_errors_carry_what_graphql_shows() -> None:
    assert RequestError(Code.NOT_FOUND, "x").extensions() == {"code": "NOT_FOUND", "retryable": False}
    shown = SiteError(Code.TIMEOUT, "here", "x").extensions()
    assert shown == {"code": "TIMEOUT", "retryable": True, "site": "here"}


def test_every_error_reads_as_its_message() -> None:
    causes = [SiteError(Code.TIMEOUT, "here", "late")]
    assert str(FederationError(Code.INCOMPLETE, "without here", causes)) == "without here"
    assert str(SettingsError("a.b", "is wrong", "Mend it.")) == "a.b: is wrong. Mend it."


# --- redaction


@pytest.mark.parametrize(
    "text",
    [
        JWT,
        f"token {JWT} is expired",
        f"Authorization: Bearer {JWT}",
        "authorization: bearer s3cret-canary",
        "BEARER\ts3cret-canary",
        f"x={JWT}&y={JWT}",
        f"\n{JWT}\n",
        f'"{JWT}"',
        f"jwt:{JWT}.more",
        f"{'é' * 290} {JWT}",
        f"é{JWT}",
        f"x-{JWT}",
    ],
)
def test_a_token_is_taken_out(text: str) -> None:
    clean = redact(text)
    assert "s3cret-canary" not in clean
    for part in JWT.split("."):
        assert part not in clean


@pytest.mark.parametrize(
    "text",
    [
        "invalid query parameter: project",
        "finding job with db id 7 failed: sql: no rows in result set",
        "no such cluster: alex/a40",
        "1.5 of 2.0 done, and/or not",
    ],
)
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("text", ["SELECT id FROM job", "x: INSERT INTO job VALUES", "UPDATE job SET a=1", "DELETE\nFROM job"])
def test_sql_is_not_shown(text: str) -> None:
    assert "job" not in redact(text)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("open ./var/job-archive/alex/100/029/1750000966/meta.json: no such file or directory", "job-archive"),
        ("open /srv/cc/config.json: permission denied", "srv"),
        ("dial tcp 10.1.2.3:8086: connection refused", "10.1.2.3"),
        ("dial tcp [fe80::1]:8086: connection refused", "fe80"),
    ],
)
def test_the_inside_of_a_site_is_not_shown(text: str, hidden: str) -> None:
    assert hidden not in redact(text)
    assert redact(text).endswith(text.rpartition(": ")[2])


@given(text=st.text(max_size=500))
def test_any_text_becomes_one_short_line(text: str) -> None:
    clean = redact(text)
    assert len(clean) <= 300
    assert clean == " ".join(clean.split())
    assert redact(text, limit=10_000) == redact(redact(text, limit=10_000), limit=10_000)


@pytest.mark.parametrize("text", ["a-" * 50_000, "SELECT " * 10_000, "a" * 100_000, "aaaaaaaa." * 20_000, "bearer " * 20_000])
def test_hostile_text_takes_no_more_than_a_moment(text: str) -> None:
    started = time.perf_counter()
    redact(text[:10_000])
    assert time.perf_counter() - started < 2.0


# --- logs


def logged(*arguments: object, message: str) -> str:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, message, arguments, None)
    assert RedactingFilter().filter(record)
    return record.getMessage()


@pytest.mark.parametrize(
    ("message", "arguments"),
    [(f"got {JWT}", ()), ("got %s", (JWT,)), ("header %r", (f"Bearer {JWT}",)), ("Authorization: Bearer %s", ("s3cret-canary",))],
)
def test_no_token_reaches_the_log(message: str, arguments: tuple[object, ...]) -> None:
    line = logged(*arguments, message=message)
    assert "s3cret-canary" not in line
    assert JWT not in line
    assert "eyJzdWIi" not in line


@pytest.mark.parametrize("message", ["plain", "two  blanks and. a dot", "100 % sure."])
def test_other_lines_are_logged_as_they_are(message: str) -> None:
    assert logged(message=message).split() == message.split()


# --- deadlines


async def test_a_deadline_counts_down_and_never_grows() -> None:
    whole = Deadline.after(10.0)
    assert 9.5 < whole.remaining <= 10.0
    assert whole.within(2.0).remaining <= 2.0
    assert whole.within(60.0) == whole
    assert Deadline.after(-1.0).remaining < 0


async def test_a_limit_cancels_when_the_moment_comes() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline.after(0.02).limit():
            await asyncio.sleep(5)
    async with Deadline.after(5.0).limit():
        await asyncio.sleep(0)


async def test_a_passed_deadline_cancels_at_the_first_wait() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline.after(-5.0).limit():
            await asyncio.sleep(5)


HARMFUL = ["\x1b[2J", "\x9b31m", "\x00", "\x7f", "\u202e", "\u2066", "\u200b", "\u2028", "\r\n", "\ufeff", "\ud800", "\U000e0041"]


@pytest.mark.parametrize("harmful", HARMFUL, ids=ascii)
def test_what_changes_a_terminal_is_in_no_message_and_no_line(harmful: str) -> None:
    text = f"before{harmful}after größe"
    for shown in (
        clean(text), redact(text), without_tokens(text, limit=200), GatewayError(Code.INTERNAL, text).message,
        str(SiteError(Code.SITE_ERROR, "here", text)), str(SettingsError("a", text, text)),
    ):  # fmt: skip
        assert not set(harmful) & set(shown) - set("[2J31m")
        assert "größe" in shown
        shown.encode()


@pytest.mark.parametrize("harmful", HARMFUL, ids=ascii)
def test_no_record_and_no_traceback_changes_a_terminal_or_looks_like_another_record(
    harmful: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logging("info")
        try:
            raise ValueError(f"x{harmful}2026-01-01 00:00:00,000 INFO    forged: line")  # noqa: TRY301
        except ValueError:
            logging.getLogger("ccgateway.test").exception("failed %s", f"a{harmful}b")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    first, *rest = capsys.readouterr().err.rstrip("\n").split("\n")
    assert "failed" in first and rest
    assert all(line.startswith("    ") for line in rest)
    assert not set("".join([first, *rest])) & set(harmful) - set("[2J31m")


@pytest.mark.parametrize(
    "error",
    [
        GatewayError(Code.STOPPING, "Soon."),
        RequestError(Code.RATE_LIMITED, "Later.", retry_after=2.5),
        SiteError(Code.SITE_BUSY, "aurora", "Busy.", retry_after=3.0),
        FederationError(Code.ALL_SITES_FAILED, "None.", [SiteError(Code.TIMEOUT, "aurora", "Late.")]),
    ],
)
def test_an_error_for_one_more_says_the_same_and_knows_no_frames(error: GatewayError) -> None:
    try:
        raise error
    except GatewayError as raised:
        same = raised.again()
    assert same is not error and same.__traceback__ is None and error.__traceback__ is not None
    assert (type(same), same.args, vars(same)) == (type(error), error.args, vars(error))
    assert same.as_entry() == error.as_entry()
    forget_frames(error)
    assert error.__traceback__ is None
