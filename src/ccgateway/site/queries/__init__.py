"""Questions that only the site's own GraphQL (``POST /query``) answers, each in the document of the site's release.

asking        how they are asked: what a release answers at all, what a refusal means
nodes         states of nodes, and what is measured on them
accounts      accounts of the site's own user list, one by one
job_details   what the site tells of a job only there: the jobs beside it, its energy by part
"""
