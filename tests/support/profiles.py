"""How thorough hypothesis is: ``HYPOTHESIS_PROFILE=deep pytest tests/properties`` for a long look, ``ci`` otherwise."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

__all__ = ["use_profile"]


def use_profile() -> None:
    """Moderate on purpose: the whole suite shares two cores."""
    relaxed = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    settings.register_profile("ci", max_examples=25, deadline=None, suppress_health_check=relaxed, derandomize=True)
    settings.register_profile("deep", max_examples=1500, deadline=None, suppress_health_check=relaxed)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
