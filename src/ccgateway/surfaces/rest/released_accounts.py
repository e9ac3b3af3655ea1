"""The users of sites, as ``/cc-backend/1.5`` changes them. Creating and deleting them is answered as releases up to 1.3 do."""

from __future__ import annotations

from ccgateway.errors import Code
from ccgateway.jobs.writes import ChangeUser, WriteOutcome, WriteResult
from ccgateway.surfaces.rest.bodies import CHANGES, read_change
from ccgateway.surfaces.rest.calls import TEXT, Answer, Call
from ccgateway.surfaces.rest.forms import read_deleted_user, read_new_user
from ccgateway.surfaces.rest.orders import named_sites, write_call
from ccgateway.surfaces.rest.released_writes import Message, at_sites, read, refusal_of
from ccgateway.surfaces.rest.wording import NO_ROWS, RefusedError, written

__all__ = ["change_user", "create_user", "delete_user"]

_NOT_ADMIN = "only admins are allowed to update a user"
_UNCHANGED = {
    "add-role": "user {user} already has role {value}",
    "remove-role": "role already deleted for user '{user}': {value}",
    "add-project": "user '{user}' already manages project '{value}'",
    "remove-project": "user '\"{user}\"': Cannot remove project '\"{value}\"' - Does not match",
}


async def change_user(call: Call) -> Answer:
    """Gives a user a role or project at the sites that are named, or takes one."""
    if "admin" not in call.caller.roles:
        raise RefusedError(403, _NOT_ADMIN)
    change = read(read_change, call, "decoding request")
    if change is None:
        raise RefusedError(400, f"no operation specified: must provide {', '.join(CHANGES[:-1])}, or {CHANGES[-1]}")
    name, value = change
    order = ChangeUser(user=call.path["id"], change=name, value=value, sites=named_sites(call))
    results = await call.gateway.writes.change_user(order, call.caller, write_call(call))
    verb, _, what = name.partition("-")
    doing = f"{verb.rstrip('e')}ing {what}"
    if all(one.outcome is WriteOutcome.UNCHANGED for one in results):
        shown = value.lower() if what == "role" else value
        raise RefusedError(422, f"{doing} failed: {_UNCHANGED[name].format(user=order.user, value=shown)}")
    done = written(Message(f"{verb.title()} {what.title()} Success for user {order.user}"))
    return at_sites(results, done, doing, _user_refusal)


def _user_refusal(result: WriteResult, doing: str, *, not_found: int) -> RefusedError:
    if result.outcome is WriteOutcome.FAILED and result.code is Code.NOT_FOUND:
        return RefusedError(not_found, f"{doing} failed: {NO_ROWS}")
    if result.outcome is WriteOutcome.FAILED and result.code is Code.SITE_UNAUTHORIZED:
        return RefusedError(403, _NOT_ADMIN)
    refusal = refusal_of(result, doing, not_found=not_found)
    if result.code is Code.SITE_REFUSED and not refusal.message.startswith(doing):  # up to 1.3
        words = refusal.message[:1].lower() + refusal.message[1:].rstrip("!")
        return RefusedError(refusal.status, f"{doing} failed: {words}")
    return refusal


async def create_user(call: Call) -> Answer:
    """Creates a user at the sites that are named. By a form."""
    order = read_new_user(call)
    results = await call.gateway.writes.create_user(order, call.caller, write_call(call))
    done = Answer(200, f"User {order.user} successfully created!\n".encode("utf-8", "replace"), TEXT)
    return at_sites(results, done, "creating user", _new_user_refusal)


def _new_user_refusal(result: WriteResult, doing: str, *, not_found: int) -> RefusedError:
    if result.outcome is WriteOutcome.FAILED and result.code is Code.CONFLICT:
        return RefusedError(422, f"{doing} failed: UNIQUE constraint failed: user.username")
    return refusal_of(result, doing, not_found=not_found)


async def delete_user(call: Call) -> Answer:
    """Deletes a user of the sites that are named; one who is not there, too."""
    order = read_deleted_user(call)
    results = await call.gateway.writes.delete_user(order, call.caller, write_call(call))
    return at_sites(results, Answer(media_type=None), "deleting user")
