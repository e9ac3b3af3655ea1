"""The faces of the gateway. A surface calls ``federation.gateway`` and nothing below it.

graphql   the main face
callers   who asks, as the headers say it: the same for every face
hosts     which Host headers are served (defence against DNS rebinding)
"""
