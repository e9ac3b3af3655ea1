"""gRPC: typed messages, streams with back-pressure, deadlines of callers; package ``ccgateway.v1`` (``schema/ccgateway/v1``).

server      the server: port, TLS, health, reflection, its end
bystanders  health and reflection, which ask nobody who they are
methods     which method of a service is served by which function
calls       one call: who asks, until when, what it may take, how it ends
statuses    an error as a status with its details
costs       what a request may list and cost
requests    filters, orders, masks and targets, as they are asked for
jobs        JobsService: lists, counts, single jobs
exports     JobsService: whole result sets, for reports
messages    job rows and site reports, as they are given
statistics  figures of jobs
metrics     metrics of jobs, in one message or in a stream
encoding    one metric as the bytes of its message, kept where the metric is
packed_numbers a site's numbers as packed doubles, straight from its text
writes      WritesService
directory   DirectoryService: sites, clusters, users, tags
clusters    clusters, as they are given
paging      lists that are given page by page
"""
