"""``User``: an account of one site's own user list."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import argument

from ccgateway.jobs import clusters
from ccgateway.surfaces.graphql.arguments import PolicyArgument, SitesArgument
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.inputs import Policy

__all__ = ["User", "needs_list", "user_named"]


@strawberry.type(description="An account in one site's own user list. Accounts of the same name at two sites may be two people.")
class User:
    site: str = strawberry.field(description="The site whose list it is in.")
    username: str = strawberry.field(description="The name it logs in with.")
    name: str = strawberry.field(description="The person's name; empty if the site does not know it.")
    email: str = strawberry.field(description="Mail address; empty if the site does not know it.")
    roles: list[str] = strawberry.field(
        description="Its roles at that site, such as `user`, `manager`, `support`, `admin`, `api`. A site tells them, and the "
        "projects, to administrators only."
    )
    projects: list[str] = strawberry.field(description="The projects it manages at that site.")

    @classmethod
    def of(cls, site: str, user: clusters.User) -> User:
        """The account ``user`` of ``site``."""
        return cls(
            site=site,
            username=user.username,
            name=user.name,
            email=user.email,
            roles=user.roles or [],
            projects=user.projects or [],
        )


def needs_list(info: Info) -> bool:
    """Whether what is selected of an account stands in the site's whole list only."""
    return info.selection.selects("roles") or info.selection.selects("projects")


async def user_named(
    info: Info,
    username: Annotated[str, argument(description="The name that it logs in with.")],
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> User | None:
    context, value = info.context, policy.to_value().of(info.context.caller)
    if needs_list(info):
        answer = await context.gateway.users(context.caller, sites=sites, policy=value)
    else:
        answer = await context.gateway.details.users_named(username, context.caller, sites=sites, policy=value)
    context.note_gaps(info, answer.reports)
    return next((User.of(one.site, one.user) for one in answer.items if one.user.username == username), None)
