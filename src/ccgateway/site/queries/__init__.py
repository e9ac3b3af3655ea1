"""Questions that a site answers by its own GraphQL (``POST /query``), or the gateway by reading its jobs.

scanning         every job that matches, read within the budget and handed on page by page
windows          windows of start times that hold few enough jobs for one question
statistics       figures, groups and histograms of the jobs that match
told_statistics  what an answer of the site's own GraphQL says of them
footprints       averages of metrics by job, samples by intensity and performance, statistics of metrics by job
"""
