"""What is remembered of the sites' answers: the cache, in the words of the federation.

shelf      the cache as the use cases share it: subjects, audiences, lives, and what a write takes away
metrics    metrics of jobs: one entry for each metric at the scopes asked for
identity   which job a database id is, for a second
pages      pages of sites' lists, for a second
directory  sites' clusters and users
decoded    what entries hold, once decoded, while many ask for it
"""
