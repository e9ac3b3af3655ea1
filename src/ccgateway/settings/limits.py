"""``[limits]``: what requests may cost, each and together."""

from __future__ import annotations

from pydantic import Field

from ccgateway.settings.base import Frozen, Seconds

__all__ = ["LimitSettings"]


class LimitSettings(Frozen):
    """``[limits]``: what one request may cost."""

    request_timeout: Seconds = Field(30.0, description="Seconds one request may take in all.")
    patience: float = Field(
        3.0,
        ge=0,
        description="Seconds that slower sites get once the first has answered (PARTIAL only, required sites excepted); "
        "0 waits for every site's own timeout.",
    )
    read_ahead: float = Field(
        2.0, ge=0, le=60, description="Seconds that jobs read beyond a page are kept for the next page; 0 keeps none."
    )
    body_bytes: int = Field(8 << 20, ge=1024, description="Largest request body, in bytes.")
    body_values: int = Field(1_000_000, ge=1000, description="Most values in the JSON of one request body.")
    body_texts: int = Field(100_000, ge=1000, description="Most texts (keys too) and objects in the JSON of one body by REST.")
    query_depth: int = Field(15, ge=3, description="How deep a GraphQL selection may nest.")
    query_aliases: int = Field(30, ge=0, description="How many aliases one GraphQL document may use.")
    query_tokens: int = Field(
        5000,
        ge=100,
        description="How many tokens one GraphQL document may have outside of lists; it may have 20 characters and a line for "
        "each of them and of `limits.query_cost`.",
    )
    query_cost: int = Field(50_000, ge=100, description="Highest cost of one GraphQL operation (jobs × sites and the like).")
    page_jobs: int = Field(10_000, ge=1, description="Largest page of jobs.")
    metrics_bytes: int = Field(256 << 20, ge=1024, description="Bytes of metrics in one answer.")
    scan_budget: int = Field(50_000, ge=1, description="Jobs read from one site for one request that needs a scan.")
    inflight_bytes: int = Field(
        1 << 30,
        ge=1 << 20,
        description="Bytes of all answers that are being read from sites or sent to callers, in each process. A caller may hold "
        "as much as is left free: alone half of it.",
    )
    requests_per_caller: int = Field(
        64, ge=1, description="Small questions of one caller that are worked on at any one time, in each process; others wait."
    )
    deep_requests: int = Field(
        8,
        ge=1,
        description="Requests that read more than 10,000 jobs that are worked on at any one time, in each process; one caller "
        "gets half of them.",
    )
    waiting_per_caller: int = Field(
        512, ge=1, description="Requests of one caller that may wait at any one place; beyond, it is told to come later (429)."
    )
