"""Whole result sets: every job of a question, and the hours used, as one stream that says whether all of it is there.

::

    routes ── operations ──┬── jobs ───┬── questions ── columns
                           └── usage ──┘       │
                       streams ── resuming, shards, records ── encodings ── parquet

routes       where the exports are
operations   what OpenAPI says of them, and what each request runs
questions    what a request asks for
resuming     as of when an export is, and the token that one goes on with
columns      the columns of a job, made of a row
jobs         jobs, batch by batch
usage        hours by period and group, summed up from jobs
shards       which part of the time a slice is, and its jobs, piece by piece
streams      how many exports run at a time; one on its way, from its first record to its last
records      the records before, between and after the rows
encodings    rows as JSON lines and as CSV
parquet      rows as Parquet
files        the answer that an export is: a file of one of the formats, to its end
"""
