"""cc-backend 1.2: shows and lets every token with the role ``api`` write everything; tells less of a job alone than in lists."""

from __future__ import annotations

import datetime as dt

import msgspec

from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, Epoch
from ccgateway.site.decoding import Computed, Wire, epoch
from ccgateway.site.releases.dialect import Dialect
from ccgateway.site.releases.query_facts import QUERY_KEYS, QUERY_KINDS, QueryFacts, StatisticsFacts, columns, selections

__all__ = ["EXCLUSIVE", "KEYS", "OLD_STATES", "START_TEXT", "V1_2"]

#: how jobs are written: the keys that every release has, and what those up to 1.4 have otherwise
KEYS = {"num_hw_threads": "numHwthreads", "state": "jobState"}
EXCLUSIVE = {"shared": Computed((("exclusive", int, msgspec.NODEFAULT),), lambda n: SHARED_BY_EXCLUSIVE.get(n, "none"))}
START_TEXT = {"start_time": Computed((("startTime", Epoch | dt.datetime, msgspec.NODEFAULT),), epoch)}
#: the states that releases up to 1.4 know
OLD_STATES = frozenset({"running", "completed", "failed", "cancelled", "stopped", "timeout", "preempted", "out_of_memory"})
_BEFORE_1_4 = frozenset({"energy", "footprint"})

#: what the job table keeps of metrics, and the filter by which it can be counted
_COLUMNS = {
    "flops_any_avg": "flopsAnyAvg", "mem_bw_avg": "memBwAvg", "cpu_load_avg": "loadAvg", "mem_used_max": "memUsedMax",
}  # fmt: skip

V1_2 = Dialect(
    name="1.2",
    capabilities=("jobs", "job", "clusters", "users"),
    isolates=False,
    states=OLD_STATES,
    # what it reads
    pushes=frozenset({"state", "cluster"}),
    in_list=Wire(KEYS, EXCLUSIVE, _BEFORE_1_4),
    single=Wire(KEYS, EXCLUSIVE | START_TEXT, _BEFORE_1_4),
    job_by_get=False,
    clusters_by_rest=False,
    metrics_in_subclusters=False,
    statistics=StatisticsFacts(columns=_COLUMNS, fixed_bins=False, takes_turns=True),
    answers=frozenset({"allocatedNodes", "concurrentJobs", "nodeMetrics", "user"}),
    mixes_hosts=True,
    query=QueryFacts(
        wire=Wire(QUERY_KEYS, EXCLUSIVE, _BEFORE_1_4, QUERY_KINDS),
        selections=selections(tags="tags{id type name}"),
        columns=columns(user="user", partition="partition"),
        types_orders=False,
        names="in text",
        hosts="in text",
        sorts_to_count=True,
    ),
    lacks={
        "metric_stats": "Releases up to 1.3 keep no footprints: metricStats matches none of this site's jobs.",
        "energy": "Releases up to 1.3 do not know energy: it counts as 0.",
    },
    # what it writes
    tag_scopes=False,
    untags=False,
    removes_tags=False,
    edits_meta=False,
    counts=True,
    changes_users="form",
    creates_users=True,
)
