"""Questions that a site answers by its own GraphQL (``POST /query``), each in the document of its release.

Lists of jobs are read that way beside REST, with the same jobs and the same values; other questions only that way, or by reading
jobs where it must be.

filters          a filter in words of one release: what its site evaluates rightly, what it narrows, what is left to the gateway
documents        one question for jobs: document, variables, and its answer decoded into rows
ways             which way a question goes at a site, and for how long a site that refused one is read the other way
completing       jobs found that way, with what only REST tells of them
reader           pages and counts, asked and checked
first_jobs       the first jobs in any order
asking           what a release answers at all beside jobs, what a refusal means
scanning         every job that matches, read within the budget and handed on page by page
windows          windows of start times that hold few enough jobs for one question
statistics       figures, groups and histograms of the jobs that match
costly           one question of a kind at a time, where several at once bring a site to a standstill
statistics_reply what an answer of the site's own GraphQL says of them
footprints       averages of metrics by job, samples by intensity and performance, statistics of metrics by job
nodes            states of nodes, and what is measured on them
accounts         accounts of the site's own user list, one by one
job_details      what the site tells of a job only there: the jobs beside it, its energy by part
"""
