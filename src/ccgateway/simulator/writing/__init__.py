"""What changes a site: the writing endpoints of REST and the mutations of GraphQL.

Handlers take a :class:`~ccgateway.simulator.call.Call`, alter the site through its
:class:`~ccgateway.simulator.changes.Changes`, and answer in the release's words, whatever truth those hold.

::

    starting.py   start_job                      stopping.py   stop_job
    tagging.py    tag_job, tags (labels.py: who may write which tag; also the mutations of GraphQL: mutations.py)
    editing.py    edit_meta                      deleting.py   delete_job, delete_job_before
    accounts.py   users, user/{id}, node states  bodies.py     what the bodies look like
    refusing.py   each release's forms of "no"
"""
