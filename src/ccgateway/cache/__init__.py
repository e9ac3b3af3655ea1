"""The cache: what sites said, remembered under what it depends on, and asked for once however many want it.

Knows nothing of jobs, sites or HTTP: a payload is bytes, and who fills it is the caller's affair. From the outside in:

- ``facade``    ``Cache``: fetch, invalidate, clear, stats; ``open_cache`` builds one from the settings of ``[cache]``
- ``single_flight`` one fill per key in this process: who waits for it, who owns it, when nobody wants it any more
- ``filling``   one fill per key among all processes: claims it, fills it, lands it, stores it
- ``store``     the port: look, versions, claim, put, invalidate
- ``layered``   memory in front of Redis
- ``memory``    the store within this process, bounded in bytes
- ``redis``     the store that processes share; every failure of it is a miss
- ``coalescer`` questions that come together go together
- ``connection`` a process's one way to Redis: a pool, time-outs, a circuit breaker
- ``urls``      what a Redis URL means: standalone, Sentinel or Cluster; TLS
- ``codec``     entries as bytes, compressed off the event loop
- ``entries``   values: ``Entry``, ``Filled``, ``Absent``, ``Hit``
- ``keys``      values: ``Key``, and ``InvalidationTag``, what one call of ``invalidate`` makes unusable
- ``ttl_store`` values under names, each for a while; claims on what has to happen once
- ``counts``    what happened, for ``ccgateway cache stats``
- ``samples``   the same for Prometheus

**Never from before a write.** Everything, each site and each subject of a site (a job) is a *tag* with a random token. An
entry carries the three tokens that held before its fill began (its versions), and is a hit only while all three still hold.
An invalidation takes the token away. So old entries and fills under way die alike, in all processes at once; and a store that is
wiped, full or evicting can lose tokens, which costs misses, but not bring old ones back. What is in memory is confirmed by the
tokens in Redis whenever it is used; while Redis cannot be asked, nothing that is remembered is served. An invalidation that Redis
did not take is delivered before Redis is used again.
"""
