"""Arguments that several root fields have."""

from __future__ import annotations

from typing import Annotated

from strawberry import argument

from ccgateway.surfaces.graphql.inputs import Policy

__all__ = ["PolicyArgument", "SitesArgument"]

SitesArgument = Annotated[list[str] | None, argument(description="Names of the sites to ask; all of them if left out.")]
PolicyArgument = Annotated[Policy, argument(description="What to do when a site does not answer.")]
