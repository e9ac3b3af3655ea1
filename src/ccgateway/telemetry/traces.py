"""Traces by OpenTelemetry: a span for each request, and below it one for each HTTP request to a site, sent by OTLP.

This module, and with it the library, is imported only where the settings want traces (``ccgateway[otel]``).
"""

from __future__ import annotations

import time

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ccgateway import __version__
from ccgateway.telemetry.observer import CallOutcome
from ccgateway.telemetry.requests import Outcome, RequestRecord, TraceContext, current_request

__all__ = ["OtelTracer"]

_WELL = frozenset({CallOutcome.OK, CallOutcome.REFUSED, CallOutcome.CANCELLED})


class OtelTracer:
    """See ``Tracer``. ``endpoint``: where spans go; ``share``: of the requests that bring no trace, how many are traced."""

    def __init__(self, endpoint: str, share: float) -> None:
        resource = Resource.create({SERVICE_NAME: "ccgateway", SERVICE_VERSION: __version__})
        # a provider of our own: that of the process may be somebody else's
        self._provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("ccgateway", __version__)

    def begin(self, record: RequestRecord) -> None:
        """See ``Tracer``."""
        theirs = record.trace
        parent = None if theirs is None else trace.set_span_in_context(NonRecordingSpan(_context(theirs, theirs.parent_id)))
        span = self._tracer.start_span("request", context=parent, kind=SpanKind.SERVER)
        made = span.get_span_context()
        parent_id = theirs.parent_id if theirs is not None else "0" * 16
        record.trace = TraceContext(f"{made.trace_id:032x}", parent_id, f"{int(made.trace_flags):02x}", f"{made.span_id:016x}")
        record.span = span

    def end(self, record: RequestRecord) -> None:
        """See ``Tracer``."""
        span = record.span
        if not isinstance(span, Span):
            return
        outcome = record.outcome()
        span.update_name(f"{record.surface.value} {record.kind.value}")
        span.set_attribute("ccgateway.request_id", record.request_id)
        span.set_attribute("ccgateway.outcome", outcome.value)
        if record.code is not None:
            span.set_attribute("ccgateway.code", record.code.value)
        if record.cost is not None:
            span.set_attribute("ccgateway.cost", record.cost)
        if record.status is not None:
            span.set_attribute("http.response.status_code", record.status)
        for joined in record.joined:
            span.add_link(_context(joined, joined.span_id))
        if outcome is Outcome.FAILED:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def call_ended(self, site: str, outcome: CallOutcome, seconds: float) -> None:
        """See ``Tracer``."""
        record = current_request()
        if record is None or not isinstance(record.span, Span):
            return
        end = time.time_ns()
        span = self._tracer.start_span(
            "site call",
            context=trace.set_span_in_context(record.span),
            kind=SpanKind.CLIENT,
            start_time=end - int(seconds * 1e9),
            attributes={"ccgateway.site": site, "ccgateway.outcome": outcome.value},
        )
        if outcome not in _WELL:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def close(self) -> None:
        """See ``Tracer``."""
        self._provider.shutdown()


def _context(context: TraceContext, span_id: str) -> SpanContext:
    flags = TraceFlags(int(context.flags, 16))
    return SpanContext(int(context.trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)
