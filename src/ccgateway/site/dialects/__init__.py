"""What each release of cc-backend accepts and answers: everything that differs between them stands in this folder.

base      the interface, and what all of them share
metrics   how metrics are asked for and come back
released  1.2, 1.3, 1.4 and 1.5, as real instances behave
howto     the API as the how-to page documents it, which differs from every release
writing   starting, stopping, tagging, editing and deleting jobs; users, and states of nodes
mutations what of tags goes by the site's own GraphQL
replies   what an answer to a write says about its effect
"""

from ccgateway.site.dialects.base import Dialect, ListPage, ReadPlan, Window
from ccgateway.site.dialects.howto import HOWTO
from ccgateway.site.dialects.metrics import MetricsRefusedError, MetricsRoute
from ccgateway.site.dialects.released import RELEASED
from ccgateway.site.dialects.writing import HOWTO_WRITING, RELEASED_WRITING, Writing

#: every dialect by the name that settings use
DIALECTS: dict[str, Dialect] = {**RELEASED, HOWTO.name: HOWTO}

#: how each dialect writes
WRITING: dict[str, Writing] = {**RELEASED_WRITING, HOWTO_WRITING.name: HOWTO_WRITING}

__all__ = ["DIALECTS", "WRITING", "Dialect", "ListPage", "MetricsRefusedError", "MetricsRoute", "ReadPlan", "Window", "Writing"]
