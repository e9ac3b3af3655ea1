"""What an operator does with the gateway; the commands of ``cli`` are thin over it.

console    one place to write to: tables, errors as key, problem, remedy
running    the gateway from its start to its end, and what reaches it meanwhile
serving    the HTTP server, and its end in stages
listening  the sockets: by address, by path, or handed over by a service manager
supervisor several processes, and who keeps them
worker_process the life of one of them
line       what it and its supervisor tell each other, and how
generations the applications of one process, of which the newest answers
reloading  taking over settings and secrets without a restart
control    the Unix socket for ``ccgateway reload``
notifying  what a service manager is told
telling    /metrics on a port of its own, for all workers together
bounded    uvicorn's HTTP protocol, with a bound on what it takes in
freed_memory how much freed memory the process keeps
stopping   the end of requests under way when the gateway stops
findings   what a check comes to: findings, one row per site
tokens     what can be said of a site's token before the site is asked
identities proving good what the settings say of issuers, the table, the exchange service and signing keys
portal     proving good what the settings say of signing in to the portal
refusals   a site's failure, turned into what to do about it
minting    tokens and API keys for those who have no identity provider
caching    the cache's Redis: whether it is good, how it stands, what is to go from it
check      prove a settings file good
contradictions what is wrong with settings by themselves
outlook    tokens that expire, sites that are there twice; also told when the gateway starts
check_watch the check again and again
rendering  a check's result as a table or JSON
calling    how the gateway is called by gRPC, in lines to copy
demo       simulated sites and the gateway in front of them, in one process
protos     the Python of the gRPC interface, made from its ``.proto`` files
published  the files under ``schema/``, and tables of the documents
"""
