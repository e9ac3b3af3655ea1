"""From the claims of a token that was found genuine to the principal that they make, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import SecretStr

from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import Role
from ccgateway.settings import IssuerSettings
from ccgateway.settings.identities import SUBJECT

__all__ = ["UnfitClaimsError", "is_subject", "principal_of", "user_name"]

#: roles of one token, known or not: a list beyond is nobody's, and costs time
MOST_ROLES = 200
#: characters of a claim's text
LONGEST = 128

_SUBJECT = re.compile(rf"{SUBJECT}{{1,{LONGEST}}}")
_USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,99}")
_ROLES: Mapping[str, Role] = {role: role for role in get_args(Role)}


class UnfitClaimsError(Exception):
    """The claims make no principal. The message names the claim, never what it holds."""


def principal_of(claims: Mapping[str, Any], issuer: IssuerSettings, token: SecretStr | None) -> Principal:
    """The principal of these claims; ``token`` is kept in it. Raises ``UnfitClaimsError``."""
    subject = _at(claims, issuer.subject_claim)
    if not isinstance(subject, str) or not is_subject(subject):
        raise UnfitClaimsError(f"{issuer.subject_claim} holds no subject")
    return Principal(
        (issuer.prefix or "") + subject,
        frozenset(_roles(_at(claims, issuer.roles_claim), issuer)),
        tuple(_names(claims, issuer)),
        issuer.name,
        token,
    )


def is_subject(text: str) -> bool:
    """Whether a caller can be called so."""
    return _SUBJECT.fullmatch(text) is not None


def user_name(text: object) -> str | None:
    """``text``, if a site's user can be called so."""
    return text if isinstance(text, str) and _USER_NAME.fullmatch(text) else None


def _roles(listed: object, issuer: IssuerSettings) -> set[Role]:
    # by spaces alone, as OAuth has it: one role's name may have other white space in it
    words = listed.split(" ") if isinstance(listed, str) else [] if listed is None else listed
    if not isinstance(words, list) or len(words) > MOST_ROLES:
        raise UnfitClaimsError(f"{issuer.roles_claim} holds no list of roles, or too long a one")
    if issuer.roles is not None:
        known: Mapping[str, Role] = issuer.roles
    else:  # only who has signed nothing but tokens for this gateway and its sites means our roles by these words
        known = _ROLES if issuer.key_file is not None else {}
    found = {known[word] for word in words if isinstance(word, str) and word in known}
    if found == {"api"} and issuer.roles is None and any(word != "api" for word in words):
        found = set()  # a machine's only where it stands alone, to cc-backend too: what we do not know might be a person's
    return found or ({issuer.default_role} if issuer.default_role else set())


def _names(claims: Mapping[str, Any], issuer: IssuerSettings) -> Iterator[tuple[str, str]]:
    for site, claim in sorted(issuer.site_names.items()):
        name = user_name(_at(claims, claim))
        if name is not None:
            yield site, name


def _at(claims: Mapping[str, Any], path: str) -> object:
    """What stands under that name, which may have dots in it, or else where the dots lead."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
