"""Root fields of ``POST /query`` beside clusters, tags and single jobs, per release.

nodes        nodes in use, their states, what is measured on them
details      accounts, jobs beside a job, its energy, its metrics and statistics
"""
