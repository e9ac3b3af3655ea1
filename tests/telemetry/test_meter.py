"""What is counted: the right numbers under closed sets of labels, whoever asks, and together with other processes."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from ccgateway.errors import Code
from ccgateway.jobs.writes import WriteOutcome
from ccgateway.settings import SiteSettings
from ccgateway.site.credentials import OneToken
from ccgateway.site.health import SiteHealth
from ccgateway.site.registry import Registry
from ccgateway.site.samples import Told, site_samples
from ccgateway.surfaces.recording import RecordingMiddleware
from ccgateway.telemetry.catalogue import METRICS, Kind
from ccgateway.telemetry.meter import Meter
from ccgateway.telemetry.observer import CallOutcome, Observer
from ccgateway.telemetry.recorder import Recorder
from ccgateway.telemetry.requests import Outcome, Question, RequestRecord, Surface
from ccgateway.telemetry.samples import Samples, added, lasting, read_samples, registry_of, written_samples
from ccgateway.traffic.overload import Overload, is_arrival

MOST_SERIES_OF_A_SITE = 60


def told(samples: Samples) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus reads of them."""
    text = generate_latest(registry_of(lambda: added([samples]))).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return told(samples)[name, tuple(sorted(labels.items()))]


def record(**noted: object) -> RequestRecord:
    made = RequestRecord(Surface.GRAPHQL, "one")
    made.status = 200
    for name, one in noted.items():
        setattr(made, name, one)
    return made


def meter_of(sites: Iterable[str] = ("aurora",)) -> Meter:
    meter = Meter()
    meter.follow(sites, ())
    return meter


@pytest.mark.parametrize(
    ("noted", "outcome"),
    [
        ({}, Outcome.OK),
        ({"sites": {"aurora": None}}, Outcome.OK),
        ({"sites": {"aurora": Code.TIMEOUT}}, Outcome.INCOMPLETE),
        ({"lacking": [Code.NOT_FOUND]}, Outcome.INCOMPLETE),
        ({"code": Code.BAD_REQUEST}, Outcome.REFUSED),
        ({"code": Code.RATE_LIMITED}, Outcome.REFUSED),
        ({"code": Code.ALL_SITES_FAILED, "sites": {"aurora": Code.TIMEOUT}}, Outcome.FAILED),
        ({"code": Code.INTERNAL}, Outcome.FAILED),
        ({"status": 404}, Outcome.REFUSED),
        ({"status": 503}, Outcome.FAILED),
        ({"status": 499}, Outcome.CANCELLED),
        ({"is_cancelled": True}, Outcome.CANCELLED),
    ],
)
def test_a_request_is_counted_by_what_it_came_to(noted: dict[str, object], outcome: Outcome) -> None:
    meter = meter_of()
    meter.request_began()
    meter.request_ended(record(**noted), 0.02)
    assert value(meter.samples(), "ccgateway_requests_total", surface="graphql", kind="none", outcome=outcome.value) == 1
    assert value(meter.samples(), "ccgateway_requests_in_flight") == 0


def test_a_refusal_is_counted_by_its_code_and_a_gap_by_its_reason() -> None:
    meter = meter_of()
    meter.request_ended(record(code=Code.INVALID_CURSOR), 0.1)
    meter.request_ended(record(sites={"aurora": Code.TIMEOUT, "boreas": Code.TIMEOUT, "cygnus": None}), 0.1)
    assert value(meter.samples(), "ccgateway_refusals_total", surface="graphql", code="INVALID_CURSOR") == 1
    assert value(meter.samples(), "ccgateway_incomplete_answers_total", code="TIMEOUT") == 2


def test_own_time_is_what_is_left_of_the_time_in_which_anything_waited() -> None:
    meter, one = meter_of(), record(waited=0.3)
    meter.request_ended(one, 0.302)
    assert value(meter.samples(), "ccgateway_request_overhead_seconds_sum", surface="graphql") == pytest.approx(0.002)
    assert value(meter.samples(), "ccgateway_request_overhead_seconds_bucket", surface="graphql", le="0.001") == 0
    assert value(meter.samples(), "ccgateway_request_overhead_seconds_bucket", surface="graphql", le="0.005") == 1
    assert value(meter.samples(), "ccgateway_request_overhead_seconds_bucket", surface="graphql", le="+Inf") == 1


def test_two_waits_at_the_same_time_are_one() -> None:
    one = record()
    one.begin_waiting()
    one.begin_waiting()
    one.end_waiting()
    assert one.waited == 0.0  # the other one still waits
    assert one.waited_by(one.began + 100.0) > 99.0
    one.end_waiting()
    assert 0.0 < one.waited < 60.0
    assert one.waited_by(one.began + 100.0) == one.waited


async def test_the_wait_until_its_turn_comes_is_part_of_what_a_request_takes() -> None:
    took: list[float] = []

    class Noting(Observer):
        def request_ended(self, record: RequestRecord, seconds: float) -> None:
            took.append(seconds)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ignore(_message: Message) -> None:
        pass

    async def nothing() -> Message:
        raise NotImplementedError

    overload = Overload(lambda: time.monotonic() - 3.0, call_soon=lambda _: None, is_busy=lambda _: False)
    with is_arrival(overload.arrive("a")):
        scope = {"type": "http", "path": "/graphql", "headers": []}
        await RecordingMiddleware(app, Recorder(Noting()))(scope, nothing, ignore)
    assert 3.0 <= took[0] < 60.0


# --- closed sets


def test_ten_thousand_callers_names_and_sites_make_no_more_series() -> None:
    meter = meter_of()
    recorder = Recorder(meter)

    def work(numbers: range) -> int:
        for number in numbers:
            one = recorder.begin(Surface.GRAPHQL, f"request-{number}", f"00-{number + 1:032x}-{number + 1:016x}-01")
            one.caller, one.kind, one.status, one.cost = f"user{number}", Question.JOBS, 200, number
            one.cut = [f"site{number}"]
            recorder.end(one, number / 1000)
            meter.call_began(f"site{number}")
            meter.call_ended(f"site{number}", CallOutcome.OK, 0.1)
            meter.place_waited_for(f"site{number}", 0.1)
            meter.written(f"operation {number}", f"outcome {number}")
            meter.rows_exported(f"format{number}", 7)
        return len(told(meter.samples()))

    before = work(range(1))
    assert work(range(1, 10_000)) == before
    text = generate_latest(registry_of(meter.samples)).decode()
    assert "user" not in text.replace("users", "") and "site7" not in text and "operation " not in text.split("# HELP")[0]


def test_a_site_has_at_most_sixty_series_whatever_happens_there() -> None:
    meter = meter_of()
    for outcome in CallOutcome:
        meter.call_began("aurora")
        meter.call_ended("aurora", outcome, 1.0)
    meter.place_waited_for("aurora", 1.0)
    meter.request_ended(record(cut=["aurora"]), 1.0)
    site = Registry([SiteSettings.model_validate({"name": "aurora", "number": 1, "url": "http://localhost:9", "release": "1.5"})])
    health = site.one("aurora").health
    health.note(None)
    health.facts.clock_skew, health.facts.certificate_expires = 1.0, 2.0
    known = [Told(site.one("aurora"), _Expires(None))]
    samples = [*meter.samples(), *site_samples(known)]
    series = [labels for _, labels in told(samples) if ("site", "aurora") in labels]
    described = {metric.name for metric in METRICS if "site" in metric.labels}
    assert described == {sample.metric for sample in samples if "aurora" in sample.labels}  # nothing is left out of the count
    assert len(series) <= MOST_SERIES_OF_A_SITE


class _Expires(OneToken):
    """A token's end, without the token."""

    @property
    def expires(self) -> float | None:
        return 3.0


def test_calls_that_outlive_their_site_leave_no_count_behind() -> None:
    meter = meter_of(["aurora", "slow"])
    meter.call_began("slow")
    meter.follow(["aurora"], ())
    assert value(meter.samples(), "ccgateway_site_calls_in_flight", site="other") == 1
    meter.call_ended("slow", CallOutcome.OK, 0.1)
    meter.follow(["aurora", "slow"], ())
    assert value(meter.samples(), "ccgateway_site_calls_in_flight", site="slow") == 0


def test_every_write_is_counted_under_a_word_of_the_table() -> None:
    meter = meter_of()
    for operation in ("start", "stop", "tag", "untag", "edit meta", "delete", "delete before", "create user"):
        for outcome in WriteOutcome:
            meter.written(operation, outcome)
    counted = {labels for name, labels in told(meter.samples()) if name == "ccgateway_writes_total"}
    assert {dict(labels)["outcome"] for labels in counted} == {one.value.lower() for one in WriteOutcome}
    assert value(meter.samples(), "ccgateway_writes_total", operation="delete", outcome="done") == 2


# --- several processes


def test_counters_and_histograms_of_processes_are_added_and_survive_the_way() -> None:
    meters = [meter_of(), meter_of(), meter_of()]
    for number, meter in enumerate(meters):
        meter.request_ended(record(), number)
    together = added([read_samples(written_samples(meter.samples())) for meter in meters])
    assert value(together, "ccgateway_requests_total", surface="graphql", kind="none", outcome="ok") == 3
    assert value(together, "ccgateway_request_duration_seconds_sum", surface="graphql", kind="none") == 3
    assert value(together, "ccgateway_request_duration_seconds_bucket", surface="graphql", kind="none", le="1.0") == 2
    assert value(together, "ccgateway_build_info", **_labels(together, "ccgateway_build_info")) == 1


def _labels(samples: Samples, name: str) -> dict[str, str]:
    return dict(next(labels for metric, labels in told(samples) if metric == name))


def test_of_a_process_that_ended_its_counts_stay_and_nothing_of_how_it_stood() -> None:
    meter = meter_of()
    meter.request_began()
    meter.request_ended(record(), 0.1)
    meter.call_began("aurora")
    kept = {sample.metric for sample in lasting(meter.samples())}
    kinds = {metric.name: metric.kind for metric in METRICS}
    assert "ccgateway_requests_total" in kept and "ccgateway_site_calls_in_flight" not in kept
    assert all(kinds[name] is not Kind.GAUGE for name in kept)


def test_jobs_are_counted_by_who_evaluated_the_filter() -> None:
    health = SiteHealth()
    health.note_read(5, is_residual=False)
    health.note_read(3, is_residual=True)
    assert (health.pushed_down, health.residual) == (5, 3)
