"""ONE cc-backend instance: from a question in the gateway's words to the site's answer in the gateway's words.

exchange     the values that travel: a request, an answer; and the seam ``Exchange`` that every layer wraps
transport    aiohttp under httpx2's interface: whole bodies, bounded before and after unpacking
client       the only user of the HTTP library: pool, token, foreign exceptions turned into ours
guard        deadline, retry of safe reads, concurrency limit
outages      a failure that stands for everybody, remembered and looked after
credentials  what the gateway shows a site: token, API root, what that may see
replies      what an answer means: JSON, refusal, failure in disguise
decoding     row types compiled for just the attributes that are needed
sampling     large answers with metrics: everything but the samples is decoded
releases     one value per release: what it accepts and answers, reads and writes; which one answers at a site
health       what is known of a site from the last exchanges
release      the release that a site speaks, found out once for all who wait
pages        a page before it is asked for, and the seam to whoever has it
reading      a site's jobs, newest first, without losing or doubling one
instance     the site as the federation sees it
registry     all configured sites

writing      the site as writes see it: the façade over what follows
hand         what a write works with, and the words for how it ended
sending      a write is sent once; in doubt, what is true is read back
finding      the one job that a write is about; turns
lifecycle    a job's beginning and end
editing      metadata; jobs that go
tagging      tags
accounts     users, their roles and projects; states of nodes
"""
