"""The Python client: a gateway's jobs, metrics, figures and orders, for programs. It imports nothing of the server.

::

    from ccgateway.client import Gateway

    with Gateway("https://gateway.example.org", token=token) as gateway:
        for job in gateway.jobs(user="alice", since="30d"):
            print(job.id, job.state)

gateway     ``Gateway``: waits for each answer
aio         ``AsyncGateway``: the same for asyncio
values      what a gateway tells, as values
errors      what can go wrong
filters     which jobs
reads       the questions, as plans of requests
writes      the orders, likewise, with idempotency keys
exports     whole result sets: rows, marks, and the end of an export
plans       requests, and what answers say
sending     HTTP beneath both clients; when something is sent again
frames      jobs for pandas, Arrow and Polars
"""

from ccgateway.client.aio import AsyncExport, AsyncGateway, AsyncJobList
from ccgateway.client.errors import GatewayError, Incomplete, NotAllowed, NotFound
from ccgateway.client.exports import Batch, ExportEnd, parquet_end
from ccgateway.client.gateway import Export, Gateway, JobList
from ccgateway.client.values import (
    Exactness,
    Figures,
    FootprintValue,
    Job,
    JobKey,
    JobStatistics,
    Metric,
    Missing,
    Outcome,
    Resource,
    Series,
    Site,
    SiteFailure,
    SiteReport,
    Statistics,
    Tag,
    Unit,
)

__all__ = [
    "AsyncExport", "AsyncGateway", "AsyncJobList", "Batch", "Exactness", "Export", "ExportEnd", "Figures", "FootprintValue",
    "Gateway", "GatewayError", "Incomplete", "Job", "JobKey", "JobList", "JobStatistics", "Metric", "Missing", "NotAllowed",
    "NotFound", "Outcome", "Resource", "Series", "Site", "SiteFailure", "SiteReport", "Statistics", "Tag", "Unit", "parquet_end",
]  # fmt: skip
