"""``User``: an account of one site's own user list."""

from __future__ import annotations

import strawberry

from ccgateway.jobs import clusters

__all__ = ["User"]


@strawberry.type(description="An account in one site's own user list. Accounts of the same name at two sites may be two people.")
class User:
    site: str = strawberry.field(description="The site whose list it is in.")
    username: str = strawberry.field(description="The name it logs in with.")
    name: str = strawberry.field(description="The person's name; empty if the site does not know it.")
    email: str = strawberry.field(description="Mail address; empty if the site does not know it.")
    roles: list[str] = strawberry.field(
        description="Its roles at that site, such as `user`, `manager`, `support`, `admin`, `api`."
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
