"""The gateway as a relying party of OpenID Connect: where a browser is sent to sign in, and who came back from there.

The authorization code flow with PKCE. What the provider's discovery document says is read when first needed and kept; who waits
for a reading waits for the same one, and while it fails, one try at a time is made and everybody else is told so at once. Who
signed in is believed by the ID token alone, which has to come from the provider's token endpoint and is checked with the issuer's
keys as any token of its is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlencode

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.identity.callers import Callers
from ccgateway.identity.fetching import Fetcher, FetchError, RedirectedError, basic_authorization
from ccgateway.identity.principal import Principal
from ccgateway.settings import IssuerSettings
from ccgateway.settings.identities import safe_url
from ccgateway.settings.portal import OidcSettings

__all__ = ["Attempt", "Provider", "RelyingParty", "provider_in"]

log = logging.getLogger("ccgateway.callers")

#: seconds for one answer of the provider, and for which its discovery document counts as it was read
SECONDS, REFRESH = 5.0, 3600.0
#: seconds between two tries to read it: the first, doubled up to the last
FIRST_PAUSE, LAST_PAUSE = 1.0, 30.0
#: codes that are being redeemed at any one time: from one network, of all from networks that have more than one, and of all
MOST_OF_ONE, MOST_OF_SEVERAL, MOST_UNDER_WAY = 32, 64, 256
#: characters of a code and of an ID token
LONGEST_CODE = 4096

#: what a provider says of a client that it does not know
_NOT_THIS_CLIENT = ("invalid_client", "unauthorized_client")
#: a code that nobody was given
NO_CODE = "ccgateway-check"

UNAVAILABLE = "The identity provider cannot be used at the moment."
REFUSED = "The identity provider did not sign you in."


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt to sign in is known by: ``state`` to the browser, ``nonce`` to the ID token, ``verifier`` at last."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Attempt:
        """One that nobody can guess."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """What the provider is told of ``verifier`` beforehand (S256)."""
        return urlsafe_b64encode(sha256(self.verifier.encode()).digest()).decode().rstrip("=")


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """What a discovery document says, as far as it is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str = ""
    code_challenge_methods_supported: list[str] | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    id_token_signing_alg_values_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False

    @property
    def takes_basic(self) -> bool:
        """Whether a client may show its secret as HTTP Basic, which is what counts where nothing is said."""
        methods = self.token_endpoint_auth_methods_supported
        return methods is None or "client_secret_basic" in methods or "client_secret_post" not in methods


class _Tokens(msgspec.Struct):
    id_token: str = ""
    error: str = ""


_TOKENS = msgspec.json.Decoder(_Tokens)


def provider_in(body: bytes, issuer: str) -> Provider:
    """The provider of that ``issuer``. Raises ``ValueError`` for a document that is none, or another's."""
    try:
        found = msgspec.json.decode(body, type=Provider)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("its answer is no discovery document") from None
    if found.issuer != issuer:
        raise ValueError("the discovery document there is another issuer's")
    for endpoint in (found.authorization_endpoint, found.token_endpoint):
        try:
            safe_url(endpoint)
        except ValueError as error:
            raise ValueError(f"an endpoint that it names {error}") from None
    methods = found.code_challenge_methods_supported
    if methods is not None and "S256" not in methods:
        raise ValueError("it does not do PKCE with S256")
    return found


class RelyingParty:
    """The gateway at one issuer. Raises ``SettingsError`` where the settings cannot be used; reaches nothing yet.

    ``redirect_uri``: where the provider sends browsers back to. Owns its connections and its reading: ``aclose`` ends them.
    """

    def __init__(
        self,
        callers: Callers,
        issuer: IssuerSettings,
        oidc: OidcSettings,
        redirect_uri: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._callers, self._issuer, self._oidc, self._clock = callers, issuer, oidc, clock
        self.redirect_uri = redirect_uri
        self._client_id, self._secret = oidc.client_id or "", oidc.secret().read()
        # none of those under way waits for another's answer
        connections = MOST_UNDER_WAY + 1
        self._fetcher = Fetcher(
            key=f"issuers.{issuer.name}.ca_file", ca_file=issuer.ca_file, seconds=SECONDS, connections=connections
        )
        self._provider: Provider | None = None
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[bool] | None = None
        self._failures = 0
        self._under_way: Counter[str] = Counter()

    async def address(self, attempt: Attempt) -> str:
        """Where a browser has to go for that attempt. Raises ``ISSUER_UNAVAILABLE``."""
        return self._address(await self._current(), attempt)

    def _address(self, provider: Provider, attempt: Attempt) -> str:
        parameters = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self._oidc.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        endpoint = provider.authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"

    async def principal(self, attempt: Attempt, code: str, said_issuer: str | None, network: str) -> Principal:
        """Who it is that came back with ``code``; ``said_issuer``: who says so (RFC 9207); ``network``: where from.

        Raises ``UNAUTHENTICATED`` where that proves nobody, ``ISSUER_UNAVAILABLE`` where it cannot be found out now.
        """
        provider = await self._current()
        if said_issuer is None and provider.authorization_response_iss_parameter_supported:
            raise _refused("the answer does not say which issuer it is of")
        if said_issuer is not None and said_issuer != provider.issuer:
            raise _refused("the answer is another issuer's")
        if not 0 < len(code) <= LONGEST_CODE:
            raise _refused("there is no code in the answer")
        if not self._has_room(network):
            raise RequestError(Code.ISSUER_UNAVAILABLE, "Too many people are being signed in at the moment.")
        self._under_way[network] += 1
        try:
            id_token = await self._redeem(provider, attempt, code)
        finally:
            self._under_way[network] -= 1
            self._under_way += Counter()  # whoever has none is forgotten
        return await self._callers.signed_in(id_token, issuer=self._issuer.name, client_id=self._client_id, nonce=attempt.nonce)

    def _has_room(self, network: str) -> bool:
        """Whether one more may be redeemed for that network: few networks with bogus codes leave room for all others."""
        held, total = self._under_way[network], self._under_way.total()
        return total < (MOST_OF_SEVERAL if held else MOST_UNDER_WAY) and held < MOST_OF_ONE

    async def _redeem(self, provider: Provider, attempt: Attempt, code: str) -> str:
        """The ID token that the provider gives for ``code``."""
        try:
            status, told = await self._exchange(provider, attempt, code)
        except (FetchError, ValueError) as error:
            log.warning("issuer %s: its token endpoint cannot be used: %s", self._issuer.name, error)
            raise RequestError(Code.ISSUER_UNAVAILABLE, UNAVAILABLE) from None
        if status == 200 and told.id_token:
            return told.id_token
        if told.error == "invalid_grant":
            raise _refused("the code is used, too old or not this gateway's")
        known = told.error if told.error in (*_NOT_THIS_CLIENT, "invalid_request") else "no ID token"
        log.warning("issuer %s: its token endpoint answers HTTP %d: %s", self._issuer.name, status, known)
        raise RequestError(Code.ISSUER_UNAVAILABLE, UNAVAILABLE)

    async def _exchange(self, provider: Provider, attempt: Attempt, code: str) -> tuple[int, _Tokens]:
        """Status and content of the token endpoint's answer to ``code``. Raises ``FetchError``; ``ValueError`` for none."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers: Mapping[str, str] = {}
        if self._secret is not None and provider.takes_basic:
            headers = basic_authorization(self._client_id, self._secret)
        else:
            form["client_id"] = self._client_id
            if self._secret is not None:
                form["client_secret"] = self._secret.get_secret_value()
        answer = await self._fetcher.post_form(provider.token_endpoint, form, headers)
        try:
            return answer.status, _TOKENS.decode(answer.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError(f"its answer (HTTP {answer.status}) is none of a token endpoint") from None

    # --- trying it out

    async def try_client(self, provider: Provider) -> None:
        """Shows the token endpoint a code that is none. Raises ``FetchError`` or ``ValueError``, which say why no code could be
        redeemed there."""
        status, told = await self._exchange(provider, Attempt.new(), NO_CODE)
        if status == 401 or told.error in _NOT_THIS_CLIENT:
            raise ValueError("the provider does not know the client, or refuses its secret")
        if status >= 500:
            raise ValueError(f"the token endpoint answers HTTP {status}")

    async def try_address(self, provider: Provider) -> None:
        """Asks where browsers are sent to sign in. Raises ``FetchError`` where they would not be."""
        with contextlib.suppress(RedirectedError):  # to a page where people say who they are
            await self._fetcher.get(self._address(provider, Attempt.new()))

    # --- discovery

    async def _current(self) -> Provider:
        """As the document said last, if that cannot be read again."""
        reading = self._begin() if self._clock() - self._read_at > REFRESH else None
        if self._provider is None and reading is not None:
            await asyncio.shield(reading)
        if self._provider is None:
            raise RequestError(Code.ISSUER_UNAVAILABLE, UNAVAILABLE)
        return self._provider

    def _begin(self) -> asyncio.Task[bool] | None:
        """The reading that runs or, if the pause is over, begins."""
        if self._reading is not None and not self._reading.done():
            return self._reading
        pause = min(FIRST_PAUSE * 2.0 ** min(self._failures - 1, 20), LAST_PAUSE) if self._failures else 0.0
        if self._clock() - self._tried_at < pause:
            return None
        self._tried_at = self._clock()
        self._reading = asyncio.create_task(self._read_once(), name=f"discovery of {self._issuer.name}")
        return self._reading

    async def _read_once(self) -> bool:
        try:
            self._provider = await self.read_now()
        except (FetchError, ValueError) as error:
            log.warning("issuer %s: its discovery document cannot be used: %s", self._issuer.name, error)
            self._failures += 1
            return False
        self._read_at, self._failures = self._clock(), 0
        return True

    async def read_now(self) -> Provider:
        """What the provider says of itself at this moment. Raises ``FetchError`` or ``ValueError``, which say why it does not."""
        issuer = self._issuer.issuer or ""
        return provider_in(await self._fetcher.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration"), issuer)

    async def aclose(self) -> None:
        """Ends a reading under way and closes the connections."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._fetcher.aclose()


def _refused(reason: str) -> RequestError:
    log.info("nobody was signed in: %s", reason)
    return RequestError(Code.UNAUTHENTICATED, REFUSED)
