"""A site's failure, turned into which setting it concerns, what is wrong, and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ccgateway.errors import Code, SiteError
from ccgateway.operations.tokens import TokenFacts, roles_wanted, token_key, token_source
from ccgateway.settings import SiteSettings
from ccgateway.site.releases import DIALECTS

__all__ = ["Advice", "advise"]

#: what every remedy about tokens comes down to
ISSUE = "Issue a new one on the site (cc-backend -jwt USER) and put it into {source}."


@dataclass(frozen=True, slots=True)
class Advice:
    """``key`` of the site's section, ``problem`` and ``remedy``."""

    key: str
    problem: str
    remedy: str


def advise(error: SiteError, site: SiteSettings, token: TokenFacts | None, release: str | None = None) -> Advice:
    """The advice for a failure while asking ``site``; ``release``: the one that answers there, where known."""
    match error.code:
        case Code.SITE_UNAUTHORIZED:
            return _refused_token(error, site, token, release)
        case Code.UNREACHABLE:
            return _unreachable(error, site)
        case Code.TIMEOUT:
            remedy = "See whether the site is overloaded; if it always takes that long, set a larger timeout."
            return Advice("timeout", f"{site.url} accepts the connection but does not answer within {site.timeout:g} s", remedy)
        case Code.CONNECTION_LOST:
            remedy = "Make sure the port is cc-backend's, and that http:// or https:// is right for it."
            return Advice("url", f"{site.url} closes the connection instead of answering", remedy)
        case Code.SITE_BUSY:
            remedy = "Start cc-backend there, or look into the log of the proxy in front of it."
            return Advice("url", f"{site.url} cannot answer: {_plain(error)}", remedy)
        case Code.SITE_ERROR:
            remedy = "Look into cc-backend's log there; an unconfigured 'jwts' section has this effect too."
            return Advice("url", f"cc-backend at {site.url} fails: {_plain(error)}", remedy)
        case Code.ANSWER_TOO_LARGE:
            return Advice("answer_bytes", _plain(error), "Set a larger answer_bytes.")
        case Code.BAD_ANSWER if "redirects" in error.message:
            return Advice("url", _plain(error), "Set url to where that leads, without the path of a page.")
        case _:
            remedy = (
                "Set url to the base URL of cc-backend, as browsers use it, without the path of a page "
                "(https://cc.example.org, not https://cc.example.org/monitoring/jobs/)."
            )
            return Advice("url", f"what answers at {site.url} is not cc-backend ({_plain(error)})", remedy)


def _plain(error: SiteError) -> str:
    message = error.message.rstrip(".")
    return message[:1].lower() + message[1:]


def _unreachable(error: SiteError, site: SiteSettings) -> Advice:
    split = urlsplit(site.url)
    where = f"{split.hostname}:{split.port or (443 if split.scheme == 'https' else 80)}"
    if "host name" in error.message:
        remedy = "Correct the name, or make it known to this machine (DNS, /etc/hosts)."
        return Advice("url", f"the host name {split.hostname} is not known", remedy)
    if "certificate" in error.message:
        why = re.search(r"accepted \((.+)\)", error.message)
        problem = f"the TLS certificate of {where} is not accepted" + (f": {why[1]}" if why else "")
        remedy = "Use a host name that the certificate names, and set ca_file to the PEM file of the authority that signed it."
        return Advice("url", problem, remedy)
    if "TLS" in error.message:
        return Advice("url", f"{where} does not speak TLS", "Write http:// if that port is plain HTTP, or correct the port.")
    if "within" in error.message:
        remedy = "See whether a firewall lies between, and whether the address is right; or set a larger connect_timeout."
        return Advice("url", f"no connection to {where} within {site.connect_timeout:g} s", remedy)
    if "refused" in error.message:
        remedy = "Start cc-backend there, or correct the host and port."
        return Advice("url", f"{where} refuses the connection: nothing listens there", remedy)
    return Advice("url", f"{where} cannot be reached ({_plain(error)})", "See whether the address is right and the network up.")


def _refused_token(error: SiteError, site: SiteSettings, token: TokenFacts | None, release: str | None) -> Advice:
    key, source = token_key(site), token_source(site)
    issue = ISSUE.format(source=source)
    said = error.message
    if address := re.search(r"unknown ip: (\S+)", said):
        remedy = "Add that address to main.api-allowed-ips in the site's config.json (apiAllowedIPs up to 1.4)."
        return Advice("url", f"the site does not admit the gateway's address {address[1].rstrip('.')}", remedy)
    if token is not None and not token.is_jwt:
        return Advice(key, f"what stands in {source} is not a JWT", issue)
    if "signature" in said or "verification error" in said or "key is invalid" in said:
        problem = "the site refuses the token: it was not signed with this site's key"
        return Advice(key, problem, f"Perhaps it is another site's. {issue}")
    if "expired" in said or "used before issued" in said or "not valid yet" in said:
        return Advice(key, "the site says that the token is not valid now", f"Compare the clocks of both machines. {issue}")
    if "only Ed25519" in said:
        return Advice(key, "the token is not signed with EdDSA", issue)
    if "unknown user" in said:
        name = token.subject if token is not None else None
        remedy = f"Add the user {name} on the site (cc-backend -add-user …), or issue a token for one that exists."
        return Advice(key, f"the site does not know the token's user {name}", remedy)
    if "missing 'sub'" in said:
        return Advice(key, "the token names no user (sub)", issue)
    if "no user for secured check" in said:
        remedy = "Let the proxy in front of the site pass the header X-Auth-Token."
        return Advice("url", "the token does not reach the site", remedy)
    if token is not None:
        wanted = roles_wanted(DIALECTS.get(release or site.release))
        problem = f"the site refuses the token of {token.subject} with the roles {', '.join(token.roles) or 'none'}"
        return Advice(key, problem, f"{wanted} Give the user those roles on the site; then: {issue}")
    return Advice(key, _plain(error), issue)
