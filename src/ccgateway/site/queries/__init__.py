"""Questions that a site answers by its own GraphQL (``POST /query``), each in the document of its release.
Some of them the gateway answers by reading its jobs, where it must.

asking           what a release answers at all, what a refusal means
scanning         every job that matches, read within the budget and handed on page by page
windows          windows of start times that hold few enough jobs for one question
statistics       figures, groups and histograms of the jobs that match
told_statistics  what an answer of the site's own GraphQL says of them
footprints       averages of metrics by job, samples by intensity and performance, statistics of metrics by job
nodes            states of nodes, and what is measured on them
accounts         accounts of the site's own user list, one by one
job_details      what the site tells of a job only there: the jobs beside it, its energy by part
"""
