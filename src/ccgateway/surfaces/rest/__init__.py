"""The REST faces: one table of operations, one function for each, and a format for each face.

::

    routes ── rest_app ── operations ──┬── reads  ──┬── howto, howto_results       /api, /userapi      as the how-to page has it
                                       └── writes ──┴── release, release_results   /cc-backend/1.5/…   as cc-backend 1.5.4 has it

operations   every operation: path, methods, what carries it out, what each face says of it
reads        the operations that read
writes       the operations that write: each builds its command
howto        what is asked, answered and refused as the how-to page has it; howto_results: what a write came to
release      the same as cc-backend 1.5.4 has it; release_results likewise
go_compat    JSON and integers as Go's standard library reads and writes them, and its words for what it refuses
calls        what an operation gets and gives
jobs         a job as JSON, in the form of each face
metrics      metrics as JSON
clusters     clusters and users as JSON
listing      the federated list by page number or cursor, and what is said about it
nodes        which nodes are in use
conditional  entity tags
bodies       bodies of writes
forms        bodies that are forms
endpoints    operations as one face offers them, and the table that a request finds its operation in
parameters   the parameters of the faces, described
openapi      OpenAPI of both faces
docs         the page about them
rest_app     one face as an application
access       who may use which root, and that pages of other origins change nothing
routes       where the faces are
"""
