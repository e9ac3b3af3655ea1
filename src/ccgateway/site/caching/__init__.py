"""Caching as a layer around a site: the same questions, answered from ``cache`` where that may be.

layer        ``CachingSite``: pages of lists for a second, clusters and users; who it asks otherwise
job_metrics  metrics of jobs: one entry for each metric at the scopes asked for
job_ids      which job a database id is, for a second
responses    the cache that the sites share: subjects, audiences, times to live, and what a write takes away
"""
