"""The ways to an answer: by plan, by execution with lists projected, by graphql-core alone. All must give the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from ccgateway.surfaces.graphql import plans
from ccgateway.surfaces.graphql.executor import PlannedExecutor

__all__ = ["executed_by_core", "executed_with_lists"]


@contextmanager
def executed_with_lists() -> Iterator[None]:
    """Documents read meanwhile have no plan that answers without execution."""
    with patch.object(plans, "_fields_of", return_value=None):
        yield


@contextmanager
def executed_by_core() -> Iterator[None]:
    """Nothing is projected."""
    with executed_with_lists(), patch.object(PlannedExecutor, "_projection", return_value=None):
        yield
