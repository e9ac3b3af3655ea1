"""``[rest]``: what holds for the REST interface alone."""

from __future__ import annotations

from pydantic import Field

from ccgateway.settings.base import Frozen, Partial

__all__ = ["RestSettings"]


class RestSettings(Frozen):
    """``[rest]``: for clients that were written for one cc-backend."""

    partial: Partial = Field(
        "serve",
        description="`refuse`: an answer from which a site is missing is an error (503), as most clients of one cc-backend do "
        "not look at the header that says so; as if each request said `policy=STRICT`.",
    )
