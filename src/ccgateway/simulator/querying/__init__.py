"""The root fields of ``Query`` that look at many jobs.

filters      which jobs a list of filters admits, release by release
statistics   ``jobsStatistics``
footprints   ``jobsFootprints``, ``rooflineHeatmap``, ``jobsMetricStats``
"""
