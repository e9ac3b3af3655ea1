"use strict";

const welcome = `# ccgateway: one endpoint in front of many ClusterCockpit instances.
#
# Run this with the button above, or Ctrl-Enter. It asks every site for the newest
# jobs on at least two nodes, in one list. To read on, copy pageInfo.endCursor into
# $after. "sites" tells what each site contributed; a site that did not answer also
# appears in "errors", and the others' jobs come all the same.
#
# The book at the left edge explains every field and argument; Ctrl-Space completes.

query NewestJobs($after: String) {
  jobs(filter: { numNodes: { from: 2 } }, first: 10, after: $after) {
    items {
      id
      site
      cluster
      jobId
      user
      state
      startTime
      duration
      numNodes
      footprint { name stat value }
    }
    pageInfo { endCursor hasNextPage }
    complete
    sites { site status code message elapsed returned }
  }
}

# The sites themselves:
query Sites {
  sites { name release reachable since lastError { code message at } }
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
