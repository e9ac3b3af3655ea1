"""Who asks.

principal   a caller with a name and roles, whatever it was that proved them
roles       what roles allow, and whether that is more than others allow
callers     from what a caller shows to the principal that it is: the room's face
issuers     one issuer: whether a token is its own, genuine, meant for us and good now
keysets     the public keys of an issuer: one from a file, or a set that is read again
claims      from a genuine token's claims to a principal, within bounds
ed25519     Ed25519 keys as they come, and tokens signed with them
sealing     text that callers carry and must not read
relying_party  OpenID Connect: where browsers sign in, and who came back
fetching    HTTP to identity services, bounded in every way
"""
