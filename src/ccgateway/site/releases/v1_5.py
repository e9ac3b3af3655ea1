"""cc-backend 1.5: other states, ``shared`` for ``exclusive``; started jobs show late; users and nodes can be told of."""

from __future__ import annotations

from ccgateway.site.decoding import Wire
from ccgateway.site.releases.dialect import Dialect
from ccgateway.site.releases.query_facts import QUERY_KEYS, QUERY_KINDS, QueryFacts, StatisticsFacts, columns, texts
from ccgateway.site.releases.v1_2 import KEYS, OLD_STATES
from ccgateway.site.releases.v1_4 import V1_4

__all__ = ["V1_5"]

V1_5 = Dialect(
    name="1.5",
    capabilities=("jobs", "job", "clusters", "users", "isolation", "footprint", "energy", "project-filter"),
    states=(OLD_STATES - {"stopped"}) | {"boot_fail", "deadline", "node_fail", "pending", "suspended"},
    # what it reads
    pushes=frozenset({"state", "cluster", "project"}),
    in_list=Wire(KEYS),
    single=Wire(KEYS),
    statistics=StatisticsFacts(subclusters=True, summaries=True, finds_ids=True),
    answers=V1_4.answers
    | {"node", "nodeStates", "nodeStatesTimed", "nodes", "nodesWithMeta", "nodeMetrics.nodeState", "nodeMetricsList.stateFilter"},
    query=QueryFacts(
        wire=Wire(QUERY_KEYS, kinds=QUERY_KINDS),
        columns=columns(shared="shared"),
        texts=texts(sub_cluster="subCluster"),
        literal_ranges=False,
        filters_shared=True,
    ),
    # what it writes
    shared_key="shared",
    starts_late=True,
    meta_by_key=True,
    omits_tagged=True,
    counts=True,
    changes_users="json",
    takes_nodes=True,
)
