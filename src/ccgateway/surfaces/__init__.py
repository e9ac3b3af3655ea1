"""The faces of the gateway. A surface calls ``federation.gateway`` and nothing below it.

graphql   the main face
callers   who asks, as the headers say it: the same for every face
ids       integer job ids over all sites
grpc      gRPC: messages and streams, on a port of its own
export    whole result sets, as JSON lines, CSV and Parquet
rest      REST, as the how-to page and as cc-backend 1.5 have it
portal    pages for people, and signing in to them
recording every request by HTTP is told of: counted, logged
requests  names a request, reads its body within bounds
browser   pages for browsers, with nothing from elsewhere
origins   which pages of other origins may ask, and what they may send and see
hosts     which Host headers are served (defence against DNS rebinding)
proxies   whom a gateway behind proxies believes, and under which path it is seen
spellings paths with and without a slash at the end
presence  work ends when its caller goes away
compression  bodies compressed for those who ask, large ones sent piece by piece
content_coding which coding a caller likes best, and its compressor
"""
