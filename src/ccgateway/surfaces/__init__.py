"""The faces of the gateway. A surface calls ``federation.gateway`` and nothing below it.

graphql   the main face
callers   who asks, as the headers say it: the same for every face
rest      REST, as the how-to page and as cc-backend 1.5 have it
requests  reading bodies, and not working for those who have gone
hosts     which Host headers are served (defence against DNS rebinding)
"""
