"""What the gateway shows one site for one caller: a token, the API root it belongs to, and what it may see there.

credential  the value itself, and the seam ``Credentials``
keyring     the rules of every site, as the settings say
rules       the first rule that fits gives the credential; none, and the site is not asked
standing    as whom a caller stands at one site: name, roles, a token of its own
proofs      which tokens a site has proved
table       the file of people's own tokens and names
minted      a token signed with the site's own key for that caller alone
exchanged   a token that the exchange service gives for the caller's own
token_exchange that service (RFC 8693): asked once per token and site, remembered while good
service     the site's service token, for those who may do all that it can
"""

from ccgateway.site.credentials.credential import ApiRoot, Credential, Credentials, OneToken
from ccgateway.site.credentials.proofs import Proofs

__all__ = ["ApiRoot", "Credential", "Credentials", "OneToken", "Proofs"]
