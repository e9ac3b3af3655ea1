"""Values and pure algorithms: what a job is, which jobs a filter means, in which order they come. No I/O.

model       job rows, tags, resources, keys and ids
filters     the filter and order values, named as cc-backend's GraphQL names them
conditions  a filter taken apart: what a site can evaluate, and a predicate for the rest
patterns    text patterns of filters: bounded, and linear to match
ordering    the total order, cursors, the merge of many sites' rows
clusters    clusters, their metrics and nodes; users
metrics     measured series of a job: what is asked for, and the pieces that come
nodes       states of nodes, and what is measured on them
details     what belongs to a job and is no part of its row
packing     these pieces as bytes, for a cache
times       when a job can have begun and ended
provisional ids of jobs that have none yet
writes      what callers may change at sites, and what became of it
"""
