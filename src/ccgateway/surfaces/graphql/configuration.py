"""Settings of a caller's own front end: cc-backend's mutation to set one, and a query to read them."""

from __future__ import annotations

from typing import Annotated

import strawberry

from ccgateway.surfaces.graphql.context import Info

__all__ = ["ConfigurationItem", "configuration", "update_configuration"]

argument = strawberry.argument


@strawberry.type(description="One setting of the caller's own front end.")
class ConfigurationItem:
    name: str = strawberry.field(description="Its name.")
    value: str = strawberry.field(description="Its value, as it was set; by custom a JSON text.")


async def configuration(info: Info) -> list[ConfigurationItem]:
    kept = await info.context.gateway.configurations.of(info.context.caller)
    return [ConfigurationItem(name=name, value=kept[name]) for name in sorted(kept)]


async def update_configuration(
    info: Info,
    name: Annotated[str, argument(description="Name of the setting.")],
    value: Annotated[str, argument(description="Its value; by custom a JSON text.")],
) -> str | None:
    context = info.context
    await context.gateway.configurations.update(name, value, context.caller, context.budget.deadline)
    return None
