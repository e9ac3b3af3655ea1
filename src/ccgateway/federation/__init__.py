"""Many instances: every use case a surface may call.

questions   what callers ask and what they get: questions, answers, one report per site
scatter     ask many sites at once, each within its own limit
joblist     the one exact job list: streams of the sites, merged, cut into pages
lookups     one job by id or key; clusters; users; the sites themselves
twins       two configured sites that are one and the same instance
gateway     the façade over all of them
"""
