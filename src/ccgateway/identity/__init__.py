"""Who asks.

principal   a caller with a name and roles, whatever it was that proved them
"""
