"""What is written at one site that concerns no job: its users, their roles and projects, and what the scheduler says of nodes."""

from __future__ import annotations

from ccgateway.errors import Code
from ccgateway.jobs.clusters import User
from ccgateway.jobs.writes import ChangeUser, CreateUser, DeleteUser, NodeStates, WriteOutcome, WriteResult
from ccgateway.site.hand import Hand, result_of

__all__ = ["change_user", "create_user", "delete_user", "update_nodes"]

ROLES = frozenset({"anonymous", "api", "user", "manager", "support", "admin"})


async def change_user(hand: Hand, order: ChangeUser) -> WriteResult:
    """``UNCHANGED`` if it is so already. The site says no to what it does not allow, to projects of those who manage none too."""
    if hand.dialect.changes_users is None:
        raise hand.unsupported("change roles and projects of users")
    hand.check_admin()
    account = await _account(hand, order.user)
    if account is None:
        raise hand.error(Code.NOT_FOUND, f"Site {hand.site} has no such user.")
    if _is_so(account, order) and _may_be(account, order):
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=hand.site)

    async def is_so() -> bool:
        now = await _account(hand, order.user)
        return now is not None and _is_so(now, order)

    request = hand.dialect.user_request(order.user, order.change, order.value)
    return result_of(await hand.do(request, hand.dialect.user_changed, is_so), None, hand.site)


async def create_user(hand: Hand, order: CreateUser) -> WriteResult:
    """``CONFLICT`` if there is a user of that name."""
    if not hand.dialect.creates_users:
        raise hand.unsupported("create users")
    hand.check_admin()
    if await _account(hand, order.user) is not None:
        raise hand.error(Code.CONFLICT, f"Site {hand.site} has a user of that name already.")

    async def is_there() -> bool:
        return await _account(hand, order.user) is not None

    request = hand.dialect.new_user_request(order)
    return result_of(await hand.do(request, hand.dialect.user_created, is_there), None, hand.site)


async def delete_user(hand: Hand, order: DeleteUser) -> WriteResult:
    """``UNCHANGED`` if there is no user of that name."""
    if not hand.dialect.creates_users:
        raise hand.unsupported("delete users")
    hand.check_admin()

    async def is_gone() -> bool:
        return await _account(hand, order.user) is None

    if await is_gone():
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=hand.site)
    request = hand.dialect.user_gone_request(order.user)
    return result_of(await hand.do(request, hand.dialect.user_gone, is_gone), None, hand.site)


async def update_nodes(hand: Hand, order: NodeStates) -> WriteResult:
    """The site's REST interface does not show what it was told of nodes, so what is in doubt stays so."""
    if not hand.dialect.takes_nodes:
        raise hand.unsupported("take states of nodes")
    hand.check_rest()
    return result_of(await hand.do(hand.dialect.nodes_request(order), hand.dialect.nodes_taken, None), None, hand.site)


async def _account(hand: Hand, name: str) -> User | None:
    return next((one for one in await hand.instance.users(hand.visit) if one.username == name), None)


def _is_so(account: User, order: ChangeUser) -> bool:
    match order.change:
        case "add-role":
            return order.value.lower() in (account.roles or ())
        case "remove-role":
            return order.value.lower() not in (account.roles or ())
        case "add-project":
            return order.value in (account.projects or ())
        case _:
            return order.value not in (account.projects or ())


def _may_be(account: User, order: ChangeUser) -> bool:
    """Whether the site could be ordered to do that at all."""
    if order.change in ("add-role", "remove-role"):
        return order.value.lower() in ROLES
    return "manager" in (account.roles or ())
