"""Many instances: every use case a surface may call.

questions   what callers ask and what they get: questions, answers, one report per site
scatter     ask many sites at once, each within its own limit
merge       the k-way merge of the sites' lists: their streams, cut where all of them are complete
merge_source one site in a merge: its stream, its time, its report
readahead   merges kept open between two pages
page_cursors where the next of a list's numbered pages begins
joblist     the one exact job list: planned, merged, cut into pages, reported
lookups     one job by id or key; clusters; users; the sites themselves
metrics     the metrics of one job or of many, each job an outcome of its own
nodes       states of nodes, and what is measured on them
details     jobs beside a job, its energy, accounts: asked for only where they are shown
configuration what a caller's own front end keeps
statistics  figures of the jobs of all sites, merged, sorted and cut
footprints  averages, samples and statistics of metrics of many jobs
batches     the whole list, and the metrics of many jobs, read piece by piece
writes      every write, many commands at once, each with a result of its own
write_calls a call that writes: admitted, once for its key, finished whoever waits
commands    write commands, executed in chains by job
routing     which site a write goes to, and which job is meant
provisional which job is meant by an id that the gateway gave
write_rates how much one caller may write
idempotency a call with an idempotency key happens once
audit       one line for every write
progress    what each command of a call has come to so far
closing     what is still begun, and how long it is waited for, once the process stops
duplicates  two configured sites that are one and the same instance
gateway     the façade over all of them
"""
