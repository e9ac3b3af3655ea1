"""Questions that a site answers by its own GraphQL (``POST /query``), or the gateway by reading its jobs.

scanning       every job that matches, read within the budget and handed on page by page
statistics     figures, groups and histograms of the jobs that match
footprints     averages of metrics by job, samples by intensity and performance, statistics of metrics by job
"""
