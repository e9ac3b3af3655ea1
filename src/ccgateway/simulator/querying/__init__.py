"""Root fields of ``POST /query`` that select jobs, per release.

job_filters    ``JobFilter``: which jobs each release finds, with what it ignores and gets wrong
job_fields     ``Job``: its fields as GraphQL writes them
job_lists      ``jobs``: filter, order, page, count
"""
