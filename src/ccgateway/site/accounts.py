"""What is written at one site that concerns no job: its users, their roles and projects, and what the scheduler says of nodes."""

from __future__ import annotations

from ccgateway.errors import Code
from ccgateway.jobs.clusters import User
from ccgateway.jobs.writes import ChangeUser, CreateUser, DeleteUser, NodeStates, WriteOutcome, WriteResult
from ccgateway.site.write_context import WriteContext, result_of

__all__ = ["change_user", "create_user", "delete_user", "update_nodes"]

ROLES = frozenset({"anonymous", "api", "user", "manager", "support", "admin"})


async def change_user(write: WriteContext, command: ChangeUser) -> WriteResult:
    """``UNCHANGED`` if it is so already. The site says no to what it does not allow, to projects of those who manage none too."""
    if write.dialect.changes_users is None:
        raise write.unsupported("change roles and projects of users")
    write.check_admin()
    account = await _account(write, command.user)
    if account is None:
        raise write.error(Code.NOT_FOUND, f"Site {write.site} has no such user.")
    if _is_so(account, command) and _may_be(account, command):
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=write.site)

    async def is_so() -> bool:
        now = await _account(write, command.user)
        return now is not None and _is_so(now, command)

    request = write.dialect.user_request(command.user, command.change, command.value)
    return result_of(await write.do(request, write.dialect.user_changed, is_so), None, write.site)


async def create_user(write: WriteContext, command: CreateUser) -> WriteResult:
    """``CONFLICT`` if there is a user of that name."""
    if not write.dialect.creates_users:
        raise write.unsupported("create users")
    write.check_admin()
    if await _account(write, command.user) is not None:
        raise write.error(Code.CONFLICT, f"Site {write.site} has a user of that name already.")

    async def is_there() -> bool:
        return await _account(write, command.user) is not None

    request = write.dialect.new_user_request(command)
    return result_of(await write.do(request, write.dialect.user_created, is_there), None, write.site)


async def delete_user(write: WriteContext, command: DeleteUser) -> WriteResult:
    """``UNCHANGED`` if there is no user of that name."""
    if not write.dialect.creates_users:
        raise write.unsupported("delete users")
    write.check_admin()

    async def is_gone() -> bool:
        return await _account(write, command.user) is None

    if await is_gone():
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=write.site)
    request = write.dialect.user_gone_request(command.user)
    return result_of(await write.do(request, write.dialect.user_gone, is_gone), None, write.site)


async def update_nodes(write: WriteContext, command: NodeStates) -> WriteResult:
    """The site's REST interface does not show what it was told of nodes, so what is in doubt stays so."""
    if not write.dialect.takes_nodes:
        raise write.unsupported("take states of nodes")
    write.check_rest()
    return result_of(await write.do(write.dialect.nodes_request(command), write.dialect.nodes_taken, None), None, write.site)


async def _account(write: WriteContext, name: str) -> User | None:
    return next((user for user in await write.instance.users(write.context) if user.username == name), None)


def _is_so(account: User, command: ChangeUser) -> bool:
    match command.change:
        case "add-role":
            return command.value.lower() in (account.roles or ())
        case "remove-role":
            return command.value.lower() not in (account.roles or ())
        case "add-project":
            return command.value in (account.projects or ())
        case _:
            return command.value not in (account.projects or ())


def _may_be(account: User, command: ChangeUser) -> bool:
    """Whether the site could be ordered to do that at all."""
    if command.change in ("add-role", "remove-role"):
        return command.value.lower() in ROLES
    return "manager" in (account.roles or ())
