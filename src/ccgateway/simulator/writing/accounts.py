"""The user table and the other writes that concern no job: users, their roles and projects, node states, metrics.

Users come by form up to 1.3; in 1.5 only their roles and projects can be changed, by JSON.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import msgspec

from ccgateway.simulator.backend import User
from ccgateway.simulator.call import Call
from ccgateway.simulator.clusters import holds_node
from ccgateway.simulator.messages import JSON, TEXT, GoError, Response, json_error, json_response, text_response
from ccgateway.simulator.writing.bodies import UserChange, bodies_of
from ccgateway.simulator.writing.refusing import NO_ROWS, bad_body

__all__ = ["change_user", "create_user", "delete_user", "node_states", "write_metrics"]

_ROLES = frozenset({"user", "manager", "support", "admin", "api"})


class AccountError(Exception):
    """A change that the user table does not take."""


def create_user(call: Call) -> Response:
    """A new user, by form."""
    if not call.who.has("admin"):
        return text_response(403, "Only admins are allowed to create new users")
    form = _form(call)
    name, role, project = form.get("username", ""), form.get("role", ""), form.get("project", "")
    reason = None
    if not form.get("password") and role != "api":
        reason = "Only API users are allowed to have a blank password (login will be impossible)"
    elif project and role != "manager":
        reason = "only managers require a project (can be changed later)"
    elif role == "manager" and not project:
        reason = "managers require a project to manage (can be changed later)"
    if reason is not None:
        return text_response(400, reason)
    if len(form.get("password", "").encode()) > 72:
        return text_response(422, "bcrypt: password length exceeds 72 bytes")
    users = call.backend.users
    if any(u.name == name for u in users):
        return text_response(422, "UNIQUE constraint failed: user.username")
    users.append(User(name, (role,), (project,), form.get("name", ""), form.get("email", "")))
    call.backend.changes.note("user", None, name)
    return Response(200, f"User {name} successfully created!\n".encode(), (("content-type", "text/plain"),))


def delete_user(call: Call) -> Response:
    """A user goes, named in the query (a form in the body of a DELETE is not read); nobody checks that there was one."""
    if not call.who.has("admin"):
        return text_response(403, "Only admins are allowed to delete a user")
    name = call.request.value("username") or ""
    users = call.backend.users
    users[:] = [u for u in users if u.name != name]
    call.backend.changes.note("user", None, name)
    return Response(200)


def change_user(call: Call) -> Response:
    """One role or project more or less."""
    return _change_by_json(call) if call.release.user_json else _change_by_form(call)


def node_states(call: Call) -> Response:
    """What the scheduler says of nodes."""
    try:
        told = bodies_of(call.release.name).nodes(call.request.body)
    except GoError as bad:
        return bad_body(bad)
    call.backend.changes.note("nodes", None, call.request.body.decode(errors="replace"))
    for node in filter(None, told.nodes or ()):
        parts = [part for c in call.backend.clusters if c["name"] == told.cluster for part in c["subClusters"]]
        named = next((part["name"] for part in parts if holds_node(part["nodes"], node.hostname)), "")
        call.backend.nodes.tell(
            told.cluster, named, node.hostname, [state or "" for state in node.states or ()], call.backend.now
        )
    return Response(200)


def write_metrics(_call: Call) -> Response:
    """Samples for the site's own metric store, which are not kept: the simulator makes up its own."""
    return Response(200, b"", (("content-type", JSON),))


def _change_by_json(call: Call) -> Response:
    if not call.who.has("admin"):
        return json_error(403, "only admins are allowed to update a user")
    try:
        change = bodies_of(call.release.name).user(call.request.body)
    except GoError as bad:
        return json_error(400, f"decoding request failed: {bad}")
    if change == UserChange():
        operations = "add-role, remove-role, add-project, or remove-project"
        return json_error(400, f"no operation specified: must provide {operations}", content_types=2)
    name = call.path["id"]
    try:
        done = _changed(call, name, change)
    except AccountError as failed:
        doing = {"Add": "adding", "Remove": "removing"}[_operation(change).partition(" ")[0]]
        what = _operation(change).partition(" ")[2].lower()
        return json_error(422, f"{doing} {what} failed: {failed}", content_types=2)
    return json_response({"msg": f"{done} Success for user {name}"})


def _change_by_form(call: Call) -> Response:
    if not call.who.has("admin"):
        return text_response(403, "Only admins are allowed to update a user")
    form = _form(call)
    change = msgspec.convert({k: v for k, v in form.items() if k in UserChange.__struct_encode_fields__}, UserChange)
    if change == UserChange():
        return text_response(500, "Not Add or Del [role|project]?")
    try:
        done = _changed(call, call.path["id"], change)
    except AccountError as failed:
        text = str(failed)
        if text != NO_ROWS and _operation(change).endswith("Role"):
            text = text[0].upper() + text[1:]
        return text_response(422, f"{text}!" if text.endswith(("not a manager", "Does not match")) else text)
    return Response(200, f"{done} Success".encode(), (("content-type", TEXT),))


def _operation(change: UserChange) -> str:
    for name, text in (("add_role", "Add Role"), ("remove_role", "Remove Role"), ("add_project", "Add Project")):
        if getattr(change, name):
            return text
    return "Remove Project"


def _changed(call: Call, name: str, change: UserChange) -> str:
    """Change the user; answers what was done.

    Raises:
        AccountError: it cannot be done.
    """
    users = call.backend.users
    at = next((n for n, u in enumerate(users) if u.name == name), None)
    if at is None:
        raise AccountError(NO_ROWS)
    user = users[at]
    operation = _operation(change)
    if operation.endswith("Role"):
        users[at] = _with_role(user, change.add_role, change.remove_role)
    else:
        users[at] = _with_project(user, change.add_project, change.remove_project)
    call.backend.changes.note("user", None, name)
    return operation


def _with_role(user: User, more: str, less: str) -> User:
    role, more, less = (more or less).lower(), more.lower(), less.lower()
    if role not in _ROLES:
        raise AccountError(f"supplied role is no valid option : {role}")
    if more:
        if more in user.roles:
            raise AccountError(f"user {user.name} already has role {more}")
        return replace(user, roles=(*user.roles, more))
    if less not in user.roles:
        raise AccountError(f"role already deleted for user '{user.name}': {less}")
    if less == "manager" and user.projects:
        shown = f"[{' '.join(user.projects)}]"
        raise AccountError(f"cannot remove role 'manager' while user {user.name} still has assigned project(s) : {shown}")
    return replace(user, roles=tuple(r for r in user.roles if r != less))


def _with_project(user: User, more: str, less: str) -> User:
    if "manager" not in user.roles:
        shown = f"'{user.name}'" if more else f"'\"{user.name}\"'"
        raise AccountError(f"user {shown} is not a manager")
    if more:
        if more in user.projects:
            raise AccountError(f"user '{user.name}' already manages project '{more}'")
        return replace(user, projects=(*user.projects, more))
    if less not in user.projects:
        raise AccountError(f"user '\"{user.name}\"': Cannot remove project '\"{less}\"' - Does not match")
    return replace(user, projects=tuple(p for p in user.projects if p != less))


def _form(call: Call) -> dict[str, str]:
    """Form values of body and query, as Go merges them."""
    pairs = parse_qsl(call.request.body.decode(errors="replace"), keep_blank_values=True)
    merged: dict[str, str] = {}
    for key, value in (*pairs, *call.request.parameters):
        merged.setdefault(key, value)
    return merged
