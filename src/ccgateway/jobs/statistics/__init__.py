"""Statistics over jobs of many sites: how the figures of sites become one figure. Pure values and rules, no I/O.

====================  =====================================================================================================
figures               what can be counted, how exact it is, groups, and how those of several sites are merged
histograms            bins of durations; bins of metrics with one width that fits every site's peak
counting              the same figures counted from rows
footprints            averages of metrics by job, and the roofline's heat map
====================  =====================================================================================================

The rules: *add* (jobs, nodes, cores), *union* (distinct users), *bounded* (hours: each site cuts off a fraction), *realign*
(bins of metrics), *rows* (counted from jobs), *refuse* (no figure, and the reason).
"""
