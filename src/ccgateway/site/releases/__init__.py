"""One value per release of cc-backend, its dialect: what it accepts and answers, reads and writes side by side.

v1_2, v1_3, v1_4, v1_5  the releases, as real instances behave (contract: recorded exchanges of 1.2.2, 1.3.1, 1.4.4 and 1.5.4)
howto          the API as the how-to page documents it, which differs from every release
probing        which of them answers at a site

dialect        the type of these values, and how jobs, tags, users and nodes are written
reads          how jobs, clusters and users are read
metric_answers how metrics are asked for and come back
query          what goes by the site's own GraphQL
query_facts    how it lists jobs: facts, as values
write_replies  what an answer to a write says about its effect
"""

from ccgateway.site.releases.dialect import Dialect
from ccgateway.site.releases.howto import HOWTO
from ccgateway.site.releases.metric_answers import MetricsRefusedError, MetricsRoute
from ccgateway.site.releases.reads import ListPage, ReadPlan, Window
from ccgateway.site.releases.v1_2 import V1_2
from ccgateway.site.releases.v1_3 import V1_3
from ccgateway.site.releases.v1_4 import V1_4
from ccgateway.site.releases.v1_5 import V1_5

#: every dialect by the name that settings use
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (V1_2, V1_3, V1_4, V1_5, HOWTO)}

__all__ = ["DIALECTS", "Dialect", "ListPage", "MetricsRefusedError", "MetricsRoute", "ReadPlan", "Window"]
