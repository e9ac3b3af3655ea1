"""Ask many sites at once, each within its own limit: whatever one does, the others' answers come.

Each site may take what its settings allow. When nobody insists on completeness, sites that lag behind get ``patience`` more
seconds once the first has answered, so that a slow site delays an answer by that much and no more.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, SiteError, forget_frames
from ccgateway.federation.questions import Policy
from ccgateway.settings import LimitSettings
from ccgateway.site.base import Site
from ccgateway.tasks import side_by_side
from ccgateway.telemetry.requests import current_request

__all__ = ["Ask", "must_answer", "patience_of", "scatter"]

T = TypeVar("T")

log = logging.getLogger(__name__)


def patience_of(policy: Policy, limits: LimitSettings) -> float | None:
    """Seconds that slower sites get once one has answered; ``None``: everybody is waited for."""
    return limits.patience if policy is Policy.PARTIAL and limits.patience > 0 else None


def must_answer(instance: Site, policy: Policy, asked: int) -> bool:
    """Whether a site is asked also while it is known to be down: there is no answer without it, or (``asked`` is how many sites
    there are) nobody else whom that would keep waiting."""
    return policy is Policy.STRICT or instance.settings.required or asked == 1


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """A question to one site: how to ask it, and until when. ``patient``: it is not cut short because others were faster."""

    instance: Site
    run: Callable[[], Awaitable[T]]
    deadline: Deadline
    patient: bool = False


async def scatter(
    asks: Sequence[Ask[T]], *, patience: float | None, is_answer: Callable[[T], bool] = lambda _: True
) -> Mapping[str, T | SiteError]:
    """The answer, or the failure, of each site by name. Whatever goes wrong with one becomes its ``SiteError``.

    ``patience`` (s): ``None`` waits for everybody to the end. ``is_answer``: whether a site has really answered, so that the
    others may be called slow. Leaves no task behind: on return, and when cancelled, every question has ended.
    """
    outcomes: dict[str, T | SiteError] = {}
    limits: dict[str, asyncio.Timeout] = {}
    hurried: set[str] = set()
    latest = math.inf

    async def one(ask: Ask[T]) -> None:
        name, given = ask.instance.name, ask.deadline.remaining
        try:
            async with ask.deadline.limit() as limit:
                limits[name] = limit
                shorten(ask)  # another one may have answered from memory before this one began
                try:
                    outcomes[name] = answer = await ask.run()
                finally:
                    del limits[name]  # it is over, and nobody may move it any more
        except TimeoutError:
            late = (
                f"The site was over {patience:g} s slower than others." if name in hurried else "The site did not answer in time."
            )
            if name in hurried and (record := current_request()) is not None:
                record.cut.append(name)
            outcomes[name] = failure = SiteError(Code.TIMEOUT, name, late)
            if name not in hurried:  # slower than others is not down
                ask.instance.health.note(failure, given)
        except SiteError as error:
            forget_frames(error)
            outcomes[name] = error
        except GatewayError:
            raise
        except Exception:
            # a fault of ours in handling this site's answer: the other sites' answers are not to blame
            log.exception("failed on what site %s answered", name)
            outcomes[name] = SiteError(Code.INTERNAL, name, "The gateway failed on what the site answered.")
        else:
            if is_answer(answer):
                hurry()

    def hurry() -> None:
        nonlocal latest
        if patience is not None:
            latest = min(latest, asyncio.get_running_loop().time() + patience)
            for ask in asks:
                shorten(ask)

    def shorten(ask: Ask[T]) -> None:
        name, limit = ask.instance.name, limits.get(ask.instance.name)
        if ask.patient or limit is None or limit.expired():
            return
        if (limit.when() or math.inf) > latest:
            limit.reschedule(latest)
            hurried.add(name)

    if len(asks) == 1:
        await one(asks[0])
        return outcomes
    async with side_by_side() as group:
        for ask in asks:
            group.create_task(one(ask), name=f"ask {ask.instance.name}")
    return outcomes
