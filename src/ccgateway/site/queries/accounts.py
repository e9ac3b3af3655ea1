"""Accounts of the site's own user list, by name: to administrators, support and managers anybody's, to others their own.

What there is to be known this way is the name and the mail address; roles and projects stand in the list that only
administrators get (``Site.users``).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.clusters import User
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.asking import Question, ask_in_parts
from ccgateway.site.releases.query import QueryReply

__all__ = ["accounts_of"]

#: accounts in one question: a release of 1.5 takes 5000 fields
AT_ONCE = 200


class _Account(msgspec.Struct):
    username: str
    name: str
    email: str


_ACCOUNTS = msgspec.json.Decoder(QueryReply[dict[str, _Account | None]])


async def accounts_of(site: Site, context: CallContext, names: Sequence[str]) -> dict[str, User | SiteError | None]:
    """The account of each of these names: ``None`` if there is none, ``SITE_UNAUTHORIZED`` if it is not for the token."""
    found: dict[str, User | SiteError | None] = {}
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        keys = [f"n{place}" for place in range(len(some))]
        declared = ",".join(f"${key}:String!" for key in keys)
        asked = " ".join(f"{key}:user(username:${key}){{username name email}}" for key in keys)
        question = Question(f"query({declared}){{{asked}}}", dict(zip(keys, some, strict=True)))
        parts = await ask_in_parts(site, context, "user", question, _ACCOUNTS)
        found.update((name, _account(site, name, part)) for name, part in zip(some, parts, strict=True))
    return found


def _account(site: Site, name: str, part: _Account | SiteError | None) -> User | SiteError | None:
    if part is None or isinstance(part, SiteError):
        return part
    if part.username != name:
        return SiteError(Code.BAD_ANSWER, site.name, "The site sent another account than was asked for.")
    return User(part.username, part.name, part.email)
