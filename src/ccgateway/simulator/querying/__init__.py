"""Root fields of ``POST /query`` beside clusters, tags and single jobs, per release.

filters      which jobs a list of filters admits
statistics   ``jobsStatistics``
statistics_sdl   their part of the schema
footprints   ``jobsFootprints``, ``rooflineHeatmap``, ``jobsMetricStats``
nodes        nodes in use, their states, what is measured on them
details      accounts, jobs beside a job, its energy, its metrics and statistics
"""
