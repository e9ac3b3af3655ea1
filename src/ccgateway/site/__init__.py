"""ONE cc-backend instance: from a question in the gateway's words to the site's answer in the gateway's words.

exchange     the values that travel: a request, an answer; and the seam ``Exchange`` that every layer wraps
client       one request to one site: token, pool, foreign exceptions turned into ours
guard        deadline, retry of safe reads, concurrency limit, nothing asked of a site that is down
pacing       how many requests a site gets at a time, by how it bears them
outages      failures that stand for everybody, remembered and looked after; questions that fail, counted
outage       one of them: whom it is for, and what the site is looked at with
breaker      the rules: when failures are too many, and when a site is well again
hints        that a site is down, passed on between processes
credentials  what the gateway shows a site: token, API root, what that may see
replies      what an answer means: JSON, refusal, failure in disguise
decoding     row types compiled for just the attributes that are needed
sampling     large answers with metrics: everything but the samples is decoded
releases     one value per release: what it accepts and answers, reads and writes; which one answers at a site
health       what is known of a site from the last exchanges
facts        what its answers tell beside what was asked: its clock, its certificate
watching     what is going to go wrong with a site, said in time
samples      how each site stands, for Prometheus
release      the release that a site speaks, found out once for all who wait
base         the protocol ``Site``: what can be asked of a site, and the values of its questions
listing      one page of a list: how the site is asked for it, and what its answer says
instance     the ``Site`` that asks, every time
caching      the ``Site`` that stands before one and keeps its answers for a while
queries      questions that only the site's own GraphQL answers
reading      a site's jobs, newest first, without losing or doubling one
queries      questions about all jobs that match: told by the site's own GraphQL, or counted from its jobs
registry     all configured sites

writing      the site as writes see it: the façade over what follows
write_context what a write works with, and the words for how it ended
sending      a write is sent once; in doubt, what is true is read back
finding      the one job that a write is about
keyed_lock   turns of writes to one job
lifecycle    a job's beginning and end
editing      metadata; jobs that go
tagging      tags
accounts     users, their roles and projects; states of nodes
"""
