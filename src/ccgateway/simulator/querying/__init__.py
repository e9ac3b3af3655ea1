"""The root fields of ``Query`` that look at many jobs.

filters      which jobs a list of filters admits, release by release
statistics   ``jobsStatistics``
statistics_sdl  their part of the schema
footprints   ``jobsFootprints``, ``rooflineHeatmap``, ``jobsMetricStats``
"""
