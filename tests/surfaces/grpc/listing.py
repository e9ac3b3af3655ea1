"""Sites of four releases, and GraphQL's question for the list of their jobs."""

from __future__ import annotations

from ccgateway.simulator import GeneratedJobs, SimulatedSite
from support.faces import JOB

__all__ = ["COUNT", "LIST", "NOW", "RELEASES", "site"]

NOW = 1_760_000_000
RELEASES = {"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3", "draco": "1.2"}
COUNT = 60

LIST = """query L($filter: [JobFilter!], $after: String, $first: Int, $order: OrderByInput, $sites: [String!]) {
  jobs(filter: $filter, after: $after, first: $first, order: $order, sites: $sites) {
    items { JOB } pageInfo { endCursor hasNextPage } complete count } }""".replace("JOB", JOB)


def site(name: str, release: str) -> SimulatedSite:
    jobs = GeneratedJobs(COUNT, cluster=name, seed=len(name), until=NOW)
    found = SimulatedSite(name, release, jobs, clock=lambda: float(NOW), resampling=600)
    for number in (3, 7, 50):
        found.add_tag(number, "review", "slow")
    return found
