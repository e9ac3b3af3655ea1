"""Reading a site's jobs by its own GraphQL, ``POST /query``: the second way beside REST, with the same jobs and the same values.

filters     a filter in words of one release: what its site evaluates rightly, what it narrows, what is left to the gateway
documents   one question for jobs: document, variables, and its answer decoded into rows
ways        which way a question goes at a site, and for how long a site that refused one is read the other way
completing  jobs found that way, with what only REST tells of them
reader      pages, counts and the first jobs in any order, asked and checked
"""
