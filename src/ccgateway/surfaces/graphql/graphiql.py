"""The page for browsers: GraphiQL.

Its scripts and styles lie in ``static/`` (third-party parts and their licences: ``static/LICENSES.txt``).
"""

from __future__ import annotations

from pathlib import Path

from ccgateway.surfaces.browser import Page

__all__ = ["GRAPHIQL"]

GRAPHIQL = Page(Path(__file__).parent / "static", "graphql/static", "font-src 'self' data:")
