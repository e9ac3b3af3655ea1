"""Who asks.

principal   a caller with a name and roles, whatever it was that proved them
roles       what roles allow, and whether that is more than others allow
"""
