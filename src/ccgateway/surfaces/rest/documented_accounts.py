"""The users of sites, as ``/api`` changes them: each site answers for itself."""

from __future__ import annotations

from ccgateway.jobs.writes import ChangeUser, UserChange
from ccgateway.surfaces.rest.bodies import CHANGES, change_in, read_change
from ccgateway.surfaces.rest.calls import Answer, Call
from ccgateway.surfaces.rest.documented import bad
from ccgateway.surfaces.rest.documented_writes import at_sites, read
from ccgateway.surfaces.rest.forms import form_in, is_form, read_deleted_user, read_new_user
from ccgateway.surfaces.rest.orders import named_sites, write_call

__all__ = ["change_user", "create_user", "delete_user"]


async def create_user(call: Call) -> Answer:
    """Creates a user at the sites that are named. By a form."""
    order = read_new_user(call)
    results = await call.gateway.writes.create_user(order, call.caller, write_call(call))
    return at_sites(results, f"User {order.user} successfully created!")


async def delete_user(call: Call) -> Answer:
    """Deletes a user of the sites that are named; ``UNCHANGED`` where there is none."""
    order = read_deleted_user(call)
    results = await call.gateway.writes.delete_user(order, call.caller, write_call(call))
    return at_sites(results, f"There is no user {order.user} any more.")


async def change_user(call: Call) -> Answer:
    """Gives a user a role or project at the sites that are named, or takes one. By JSON, or as a form."""
    change = read(lambda body: _change(body, call), call)
    if change is None:
        raise bad(f"Name one of {', '.join(CHANGES)}.")
    name, value = change
    order = ChangeUser(user=call.path["id"], change=name, value=value, sites=named_sites(call))
    results = await call.gateway.writes.change_user(order, call.caller, write_call(call))
    return at_sites(results, f"{name.replace('-', ' ').title()} Success for user {order.user}")


def _change(body: bytes, call: Call) -> tuple[UserChange, str] | None:
    if is_form(call):
        found = change_in(form_in(call))
    elif body.strip():
        found = read_change(body)
    else:
        found = None
    return found or change_in({name: call.query.first(name) or "" for name in CHANGES})
