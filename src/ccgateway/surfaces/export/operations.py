"""The operations of exports: their paths and parameters, and what carries them out. OpenAPI is written from this."""

from __future__ import annotations

from ccgateway.settings.export import ExportSettings
from ccgateway.surfaces.export.columns import NAMES
from ccgateway.surfaces.export.jobs import export_jobs
from ccgateway.surfaces.export.questions import FILTERS, FORMATS, GROUPS, PERIODS
from ccgateway.surfaces.export.streams import Streams
from ccgateway.surfaces.export.usage import export_usage
from ccgateway.surfaces.rest.calls import Answer, Call
from ccgateway.surfaces.rest.endpoints import Endpoint, Operation, Parameter, Schema, Table
from ccgateway.surfaces.rest.howto_results import Failure
from ccgateway.surfaces.rest.parameters import DOCUMENTED_LIST, SITE

__all__ = ["export_table"]

_TEXT: Schema = {"type": "string"}
_STREAMS = ("application/x-ndjson", "text/csv", "application/vnd.apache.parquet")

_SECONDS: Schema = {"type": "integer", "minimum": 0}
_FILTERS = (
    *(one for one in DOCUMENTED_LIST if one.name in FILTERS),
    Parameter("duration", "`FROM-TO`, seconds, both ends inclusive.", {"type": "string", "pattern": "^[0-9]+-[0-9]+$"}),
    Parameter("duration[from]", "Least duration, seconds.", _SECONDS),
    Parameter("duration[to]", "Highest duration, seconds.", _SECONDS),
    SITE,
)
_COMMON = (
    Parameter("format", "`jsonl` where it is left out.", {"type": "string", "enum": list(FORMATS)}),
    Parameter(
        "policy",
        "`STRICT` where it is left out: an error where a site is missing; `PARTIAL`: the end says what is missing.",
        {"type": "string", "enum": ["PARTIAL", "STRICT"]},
    ),
)
_JOBS = (
    Parameter("columns", f"Names with commas between them, of {', '.join(NAMES)}.", _TEXT, repeats=True),
    Parameter(
        "metrics", "Metrics with commas between them: `_min`, `_avg` and `_max` of each, of archived jobs.", _TEXT, repeats=True
    ),
    Parameter(
        "shard",
        "`2/8`: the second of eight slices, each job being in exactly one.",
        {"type": "string", "pattern": "^[0-9]+/[0-9]+$"},
    ),
    Parameter("running", "Whether jobs that have not ended come as well, with a column that says so.", {"type": "boolean"}),
    Parameter("resume", "Goes on from there: a token that an export of the same question gave.", _TEXT),
)
_USAGE = (
    Parameter("period", "`month` where it is left out.", {"type": "string", "enum": list(PERIODS)}),
    Parameter(
        "by", f"Names with commas between them, of {', '.join(GROUPS)}; all of them where it is left out.", _TEXT, repeats=True
    ),
)


def export_table(streams: Streams | None = None, settings: ExportSettings | None = None) -> Table:
    """Both exports; ``streams``: those of the process."""
    settings = settings or ExportSettings.model_validate({})
    running = streams or Streams(settings)

    async def jobs(call: Call) -> Answer:
        return await export_jobs(call, running)

    async def usage(call: Call) -> Answer:
        return await export_usage(call, running, settings)

    return Table(
        [
            Endpoint(
                "/jobs",
                {
                    "GET": Operation(
                        run=jobs,
                        name="exportJobs",
                        summary="Every job of a question",
                        description="As one stream, whose end says whether all of it is there. See docs/use/export.md.",
                        parameters=(*_FILTERS, *_COMMON, *_JOBS),
                        answers={200: str},
                        failure=Failure,
                        streams=_STREAMS,
                    )
                },
            ),
            Endpoint(
                "/usage",
                {
                    "GET": Operation(
                        run=usage,
                        name="exportUsage",
                        summary="Hours used by period and group",
                        description="Summed up from jobs that have ended, each counted in the period of its start (UTC).",
                        parameters=(*_FILTERS, *_COMMON, *_USAGE),
                        answers={200: str},
                        failure=Failure,
                        streams=_STREAMS,
                    )
                },
            ),
        ],
        lenient=True,
    )
