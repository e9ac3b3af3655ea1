"""Root fields of ``POST /query`` beside clusters and tags, per release.

job_filters    ``JobFilter``: which jobs each release finds, with what it ignores and gets wrong
job_fields     ``Job``: its fields as GraphQL writes them
job_lists      ``jobs``: filter, order, page, count
statistics     ``jobsStatistics``
statistics_sdl its part of the schema
footprints     ``jobsFootprints``, ``rooflineHeatmap``, ``jobsMetricStats``
nodes          nodes in use, their states, what is measured on them
nodes_sdl      their part of the schema
details        accounts, jobs beside a job, its energy, its metrics and statistics
"""
