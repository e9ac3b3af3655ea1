"""cc-backend 1.4: keeps users to what is theirs; tags have scopes; energy and footprints."""

from __future__ import annotations

from ccgateway.site.decoding import Wire
from ccgateway.site.releases.dialect import Dialect
from ccgateway.site.releases.query_facts import QUERY_KEYS, QUERY_KINDS, QueryFacts
from ccgateway.site.releases.v1_2 import EXCLUSIVE, KEYS, OLD_STATES, START_TEXT, V1_2

__all__ = ["V1_4"]

V1_4 = Dialect(
    name="1.4",
    capabilities=("jobs", "job", "clusters", "users", "isolation", "footprint", "energy"),
    user_roles=frozenset({"user", "manager"}),
    states=OLD_STATES,
    # what it reads
    pushes=frozenset({"state", "cluster"}),
    in_list=Wire(KEYS, EXCLUSIVE),
    single=Wire(KEYS, EXCLUSIVE | START_TEXT),
    mixes_hosts=True,
    answers=V1_2.answers | {"energyFootprint", "globalMetrics", "jobMetrics.resolution", "median", "nodeMetricsList"},
    # some of the series know nothing of ``exclusive``, and look for a node in the text of all of a job's resources
    query=QueryFacts(wire=Wire(QUERY_KEYS, EXCLUSIVE, kinds=QUERY_KINDS), hosts="either"),
    # what it writes
    shows_old_meta=True,
)
