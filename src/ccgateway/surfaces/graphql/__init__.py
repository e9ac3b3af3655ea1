"""The main face: ``/graphql``.

schema      the schema (see its map of the types), and its text
selection   what a question selects → the row attributes the sites must send
projection  plain objects, written as JSON by a plan instead of field by field
written_lists  lists as they were written, for whoever asks for the same again
verbatim    decoded values that are encoded as they are to what a selection shows
plans       an operation worked out once: its cost, and how to answer it
context     what the resolvers of one request share
loading     the metrics of many jobs in few questions
statistics_loading  statistics that are asked for in the same moment, as one question
documents   query texts → parsed and validated documents, remembered
merging     fields of one answer that may stand together, found out in linear time
persisted   texts of documents that callers ask for by their hash
lists       how much the lists in arguments hold
limits      what a document and an operation may cost
execution   one request → its response: limits, the answer, what is missing
executor    graphql-core's executor, for what no plan answers
failures    every error of a response, with its code
wire        HTTP: bodies, parameters, media types
graphiql    the page for browsers
endpoint    the routes
"""
