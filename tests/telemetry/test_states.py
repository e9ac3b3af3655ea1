"""What the log says of sites: a line for a change, and none for each request."""

from __future__ import annotations

import logging

import pytest

from ccgateway.errors import Code
from ccgateway.settings import SiteSettings
from ccgateway.site.credentials import OneToken
from ccgateway.site.facts import Latency, SiteFacts
from ccgateway.site.registry import Registry
from ccgateway.site.samples import Told
from ccgateway.site.watching import DAY, SiteWatch
from ccgateway.telemetry.observer import CallOutcome
from ccgateway.telemetry.requests import RequestRecord, Surface
from ccgateway.telemetry.states import SiteStates

HOUR = 3600


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def missing(site: str) -> RequestRecord:
    record = RequestRecord(Surface.REST, "one")
    record.note_site(site, Code.TIMEOUT)
    return record


def test_an_hour_with_a_site_down_is_two_lines_that_say_how_long_and_how_many(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    states = SiteStates(clock)
    states.note_call("aurora", CallOutcome.OK)
    with caplog.at_level(logging.DEBUG, "ccgateway.sites"):
        for _ in range(HOUR):
            clock.now += 1
            states.note_call("aurora", CallOutcome.TIMEOUT)
            states.note_change("aurora", "It is late.")
            states.note_request(missing("aurora"))
        states.note_call("aurora", CallOutcome.OK)
        states.note_change("aurora", None)
    assert caplog.messages == [
        "site aurora is down: It is late.",
        "site aurora answers again after 3599 s; 3600 requests went without it",
    ]


def test_requests_that_fail_before_a_site_is_known_to_be_down_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    states = SiteStates(Clock())
    for _ in range(3):
        states.note_call("aurora", CallOutcome.LOST)
        states.note_request(missing("aurora"))
    states.note_change("aurora", "Lost.")
    states.note_change("aurora", None)
    assert caplog.messages[1] == "site aurora answers again after 0 s; 3 requests went without it"


def test_a_site_that_goes_and_comes_all_hour_has_under_twenty_lines(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    states = SiteStates(clock)
    for second in range(HOUR):
        clock.now += 1
        states.note_change("aurora", "Lost." if second % 3 else None)
    assert 2 <= len(caplog.messages) < 20


def test_calls_that_fail_take_nothing_down_by_themselves(caplog: pytest.LogCaptureFixture) -> None:
    states = SiteStates(Clock())
    for outcome in CallOutcome:
        for _ in range(10):
            states.note_call("aurora", outcome)
    states.note_change("aurora", None)
    assert caplog.messages == []


def test_sites_are_told_of_each_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    states = SiteStates(Clock())
    states.note_change("aurora", "Not there.")
    states.note_call("boreas", CallOutcome.OK)
    states.note_request(missing("boreas"))
    states.note_change("boreas", None)
    states.note_change("aurora", None)
    assert caplog.messages == [
        "site aurora is down: Not there.",
        "site aurora answers again after 0 s; 0 requests went without it",
    ]


# --- what goes wrong if nobody sees to it


class Token(OneToken):
    """What counts of a token here: its end."""

    until: float | None = None

    @property
    def expires(self) -> float | None:
        return Token.until


def watched() -> tuple[SiteWatch, Clock, SiteFacts]:
    site = Registry([SiteSettings.model_validate({"name": "aurora", "number": 1, "url": "http://localhost:9"})]).one("aurora")
    clock = Clock()
    return SiteWatch(lambda: [Told(site, Token(None))], clock), clock, site.health.facts


@pytest.mark.parametrize("what", ["token", "certificate"])
def test_what_expires_is_said_thirty_seven_and_one_days_before_and_then_once_each(
    what: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, clock, facts = watched()
    if what == "token":
        monkeypatch.setattr(Token, "until", clock.now + 40 * DAY)
    else:
        facts.certificate_expires = clock.now + 40 * DAY
    for _ in range(41 * 24):
        watch.look()
        clock.now += HOUR
    said = [f"site aurora: its {what} expires in {days} days" for days in ("30.0", "7.0", "1.0")]
    assert caplog.messages == [*said, f"site aurora: its {what} has expired"]
    monkeypatch.setattr(Token, "until", clock.now + 90 * DAY)
    facts.certificate_expires = clock.now + 90 * DAY
    watch.look()
    watch.look()
    assert caplog.messages[4:] == [f"site aurora: its {what} is well again"]


def test_a_clock_that_is_wrong_is_said_once_and_when_it_is_right_again(caplog: pytest.LogCaptureFixture) -> None:
    watch, _, facts = watched()
    for skew in (None, 0.4, -4.9, -90.0, -91.0, 0.0, 0.1):
        facts.clock_skew = skew
        watch.look()
    assert caplog.messages == [
        "site aurora: its clock is 90 s behind, by which tokens may not be accepted",
        "site aurora: its clock is well again",
    ]


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 99 Nov 2026 07:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +9959"])
def test_a_date_that_is_none_tells_nothing(date: str | None) -> None:
    facts = SiteFacts()
    facts.note_date(date, 0.1)
    assert facts.clock_skew is None or abs(facts.clock_skew) > HOUR


def test_a_date_tells_how_far_the_clock_is_ahead() -> None:
    facts = SiteFacts()
    facts.note_date("Fri, 01 Jan 2100 00:00:00 GMT", 0.1)
    assert facts.clock_skew is not None and facts.clock_skew > 365 * DAY


def test_latency_is_that_of_the_newest_answers() -> None:
    facts, alone = SiteFacts(), SiteFacts()
    for milliseconds in (9000, *range(1, 501)):
        facts.note_latency(milliseconds / 1000)
    assert facts.latency == Latency(500, 0.25, 0.475, 0.495)
    alone.note_latency(2.0)
    assert alone.latency == Latency(1, 2.0, 2.0, 2.0)
