"""What can go wrong for who asks a gateway: the gateway's own codes, and the same codes where the gateway itself is missing."""

from __future__ import annotations

from collections.abc import Sequence

from ccgateway.client.values import Missing, Outcome

__all__ = ["GatewayError", "Incomplete", "NotAllowed", "NotFound", "error_of"]


class GatewayError(Exception):
    """A question or an order came to nothing.

    ``code``: the stable code, as in the gateway's list of errors; without a ``site``, ``UNREACHABLE``, ``TIMEOUT``,
    ``CONNECTION_LOST`` and ``BAD_ANSWER`` are about the gateway itself. ``message``: for people. ``site``: the site it concerns,
    if one. ``retryable``: whether the same may work a little later. ``missing``: what each site that did not answer came to.
    ``retry_after``: seconds to wait first, if the gateway said so. ``after``: where a list that was read in part goes on, for
    ``jobs(after=…)``. ``idempotency_key``: of orders, to send the very same call again; ``outcomes``: of those before the
    failure.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        site: str | None = None,
        retryable: bool = False,
        missing: Sequence[Missing] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.site, self.retryable = code, message, site, retryable
        self.missing, self.retry_after = tuple(missing), retry_after
        self.after: str | None = None
        self.idempotency_key: str | None = None
        self.outcomes: tuple[Outcome, ...] = ()

    def __str__(self) -> str:
        place = "" if self.site is None else f" at {self.site}"
        gaps = "".join(f"; {one}" for one in self.missing)
        return f"{self.code}{place}: {self.message}{gaps}"


class Incomplete(GatewayError):  # noqa: N818 - what callers look for is that, and not a fault
    """Sites are missing from the answer, and ``partial=True`` was not said. ``missing`` says which, and why."""


class NotAllowed(GatewayError):  # noqa: N818
    """The gateway wants to know who asks, does not accept the token, or does not let its owner do that."""


class NotFound(GatewayError):  # noqa: N818
    """There is no such job, site or cluster, or it is not shown."""


_KINDS: dict[str, type[GatewayError]] = {
    "INCOMPLETE": Incomplete,
    "ALL_SITES_FAILED": Incomplete,
    "UNAUTHENTICATED": NotAllowed,
    "FORBIDDEN": NotAllowed,
    "READ_ONLY": NotAllowed,
    "NO_CREDENTIAL": NotAllowed,
    "NOT_FOUND": NotFound,
    "UNKNOWN_SITE": NotFound,
    "UNKNOWN_CLUSTER": NotFound,
}


def error_of(
    code: str,
    message: str,
    *,
    site: str | None = None,
    retryable: bool = False,
    missing: Sequence[Missing] = (),
    retry_after: float | None = None,
) -> GatewayError:
    """The error of the kind that ``code`` is; arguments as ``GatewayError`` takes them."""
    kind = _KINDS.get(code, GatewayError)
    return kind(code, message, site=site, retryable=retryable, missing=missing, retry_after=retry_after)
