"use strict";

const welcome = `# ccgateway: one endpoint in front of many
# ClusterCockpit instances.
#
# Run this with the play button, or with Ctrl-Enter. It asks
# every site for its newest jobs on at least two nodes and
# gives them in one list. To read on, put pageInfo.endCursor
# into the variable "after".
#
# jobs.sites tells what each site contributed. A site that did
# not answer is in "errors" too; the other jobs come anyway.
#
# The book at the left edge explains every field and argument.

query NewestJobs($after: String) {
  jobs(
    filter: { numNodes: { from: 2 } }
    first: 10
    after: $after
  ) {
    items {
      id
      cluster
      jobId
      user
      state
      startTime
      duration
      numNodes
    }
    pageInfo { endCursor hasNextPage }
    complete
    sites { site status message returned }
  }
  sites { name release reachable since }
}
`;

const given = new URLSearchParams(window.location.search);

const page = React.createElement(
  GraphiQL,
  {
    fetcher: GraphiQL.createFetcher({ url: window.location.pathname }),
    defaultQuery: welcome,
    query: given.get("query") || undefined,
    variables: given.get("variables") || undefined,
    shouldPersistHeaders: false,
  },
  React.createElement(GraphiQL.Logo, null, React.createElement("span", { className: "gateway-title" }, "ccgateway")),
);

ReactDOM.createRoot(document.getElementById("graphiql")).render(page);
