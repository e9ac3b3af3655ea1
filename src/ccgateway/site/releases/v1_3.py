"""cc-backend 1.3: as 1.2, and tells all of a job alone, lists clusters by REST, edits metadata."""

from __future__ import annotations

from dataclasses import replace

from ccgateway.site.releases.v1_2 import V1_2

__all__ = ["V1_3"]

V1_3 = replace(
    V1_2,
    name="1.3",
    job_by_get=True,
    clusters_by_rest=True,
    query=replace(V1_2.query, names="either") if V1_2.query is not None else None,
    edits_meta=True,
    shows_old_meta=True,
    counts=False,
)
