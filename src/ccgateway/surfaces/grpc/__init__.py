"""gRPC: typed messages, streams with back-pressure, deadlines of callers; package ``ccgateway.v1`` (``schema/ccgateway/v1``).

server      the server: port, TLS, health, reflection, its end
service     which method of a service is served by which function
calls       one call: who asks, until when, what it may take, how it ends
statuses    an error as a status with its details
costs       what a request may list and cost
requests    filters, orders, masks and targets, as they are asked for
jobs        JobsService: lists, counts, single jobs
exports     JobsService: whole result sets, for reports
messages    job rows and site reports, as they are given
statistics  figures of jobs
metrics     metrics of jobs: samples as packed doubles, straight from a site's text
packing     a site's numbers as those doubles
writes      WritesService
directory   DirectoryService: sites, clusters, users, tags
clusters    clusters, as they are given
pages       lists that are given page by page
"""
