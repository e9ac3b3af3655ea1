"""Paths with and without a slash at the end lead to the same: nobody is redirected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starlette.routing import BaseRoute, Mount, Route

__all__ = ["with_both_spellings"]


def with_both_spellings(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """``routes``, each followed by its path's other spelling: with a slash at the end, or, for what is mounted, without."""
    for route in routes:
        yield route
        if isinstance(route, Mount):
            yield Route(route.path, route.app)
        elif isinstance(route, Route):
            yield Route(f"{route.path}/", route.endpoint, methods=route.methods)
