"""The REST faces.

::

    documented, documented_writes, documented_accounts ── documented_table ──┐      /api, /userapi     as the how-to page has it
    released, released_writes, released_accounts       ── released_table   ──┴─ face /cc-backend/1.5/…  as cc-backend 1.5.4 has it

calls        what a handler gets and gives
ids          integer job ids over all sites
jobs         a job as JSON, in the form of each face
metrics      metrics as JSON
clusters     clusters and users as JSON
listing      the federated list by page number or cursor, and what is said about it
pages        where numbered pages begin, remembered
nodes        which nodes are in use
conditional  entity tags
bodies       bodies of writes
forms        bodies that are forms
orders       writes as both faces order them
documented   the handlers of /api and /userapi, with what writes and what changes users beside it
released     the same of /cc-backend/1.5
wording      the words of cc-backend's refusals
endpoints    paths and methods, as values
parameters   the parameters of the faces, described
openapi      OpenAPI of both faces
docs         the page about them
styles       how each face says no
face         one face as an application
doors        who may use which root
origins      pages of other origins change nothing
sending      answers onto the wire
routes       where the faces are
"""
