"""Answers that need not be sent again: entity tags of jobs that have ended and are archived.

Nothing of such a job changes but its tags and metadata, so its row tells whether an answer about it is still the same, metrics
included, without reading them. What runs, or is being archived, has no entity tag. Tags are weak: one stands for a body in all
codings in which it may go out.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from ccgateway import __version__
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs.metrics import Phase, phase_of
from ccgateway.jobs.model import JobRow
from ccgateway.surfaces.rest.calls import Call, encode
from ccgateway.surfaces.rest.jobs import job

__all__ = ["etag_of", "is_known", "metrics_etag"]

_TAG = re.compile(r'(?:W/)?("[^"]*")')


def etag_of(row: JobRow, call: Call, variant: str) -> str | None:
    """The entity tag of an answer about the job of ``row``, which has ``SINGLE``; ``variant``: what else the answer depends on.
    ``None`` while its metrics may change."""
    if phase_of(row.state, row.monitoring_status) is not Phase.ARCHIVED:
        return None
    return _tag([variant, row.site, job(row, call.ids, meta_data=row.meta_data_json)])


def is_known(etag: str | None, call: Call) -> bool:
    """Whether the caller already has the answer with that tag."""
    known = call.headers.get("if-none-match", "")
    if etag is None or not known:
        return False
    return known.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(known)


def metrics_etag(told: JobMetricsAnswer, variant: str) -> str | None:
    """The entity tag of an answer that tells nothing of a job but these metrics; ``None`` while they may change, and where it is
    not known whether they may."""
    job = told.job
    if job is None or job.phase is not Phase.ARCHIVED:
        return None
    return _tag([variant, job.key, job.db_id, told.report.notes, [(piece.name, piece.scope) for piece in told.pieces]])


def _tag(of: object) -> str:
    # another release of the gateway may write the same otherwise
    return f'W/"{blake2b(encode([__version__, of]), digest_size=12).hexdigest()}"'
