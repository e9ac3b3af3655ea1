"""The faces of the gateway. A surface calls ``federation.gateway`` and nothing below it.

graphql   the main face
rest      REST, as the how-to page and as cc-backend 1.5 have it
requests  bodies are read within bounds
presence  work ends when its caller goes away
hosts     which Host headers are served (defence against DNS rebinding)
"""
