"""What a document and an operation may cost. Over a limit means refused with ``LIMIT_EXCEEDED``, the number and the limit.

Depth, aliases and the items of lists are counted on the parsed document, before the work of validating it; items of lists in
variables before that of coercing them. The cost of an operation is computed from its selections and arguments, variables
included, as

====================  ==========================================================================================
``jobs``              10 + jobs skipped + jobs on the page * (1 + fields of one job / 10), + 1000 with ``userData``,
                      + 5000 if all jobs that match are read: for ``count``, or for another order than newest first
``job`` ``jobByKey``  10 + 1 + fields of the job / 10, + 1000 with ``userData``
``clusters``          500 + 50 * fields of one cluster
``users``             1000 + 100 * fields of one user
``sites``             100 + 10 * fields of one site
``tags``              500 + 50 * fields of one tag
``jobsStatistics``    500 + 50 * fields of one element + 5000 with ``exact``
``jobsMetricStats``   5000 + 50 * fields of one job, as ``jobsFootprints`` (+ 500 for every metric) and ``rooflineHeatmap``
mutations             100 + 10 for every command (object of a list that is an argument), a tenth of the fields of its result, and
                      10 more if those of its ``job`` are among them, + 1 for every other item of the lists in an argument
``jobMetrics`` …      10 + metrics + fields of one metric / 10, as ``scopedJobStats`` and ``jobStats``
``__schema`` …        1000 + 100 * fields
``jobs`` by ``dbId``   + 10 for every id
a job                  + 10 with ``concurrentJobs``, and with ``energyFootprint``: each is looked up
``jobByKey``          + 1500 without ``startTime``, as it reads on until it finds the job
any query             + 100 for every filter, and + 10 for every other item, in the lists of its arguments
====================  ==========================================================================================

rounded up and added over all root fields, aliased ones included. "Fields of one job" counts nested ones too. "Jobs skipped" is
what lies before a numbered page, as the gateway must read it; a cursor skips nothing. "Metrics" are 10 for every metric and
scope that is named (20 metrics and one scope where none are, one where a list is empty); ``metrics`` selected of jobs adds that
for every job on the page, of one job once. Else the number of sites does not
count: a document that is accepted today stays accepted when a site is added. With the default limit of 50 000, a page of 10
000 jobs may show 39 fields of each, and one of 1 000 jobs 4
metrics of each. What reading everything costs does not follow ``scan_budget``: a larger budget must not take counts away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
)
from graphql.execution.values import VariableValues

from ccgateway.errors import Code, RequestError
from ccgateway.federation.questions import EVERYTHING
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.inputs import SortDirection
from ccgateway.surfaces.graphql.lists import Items, commands_in, items_in
from ccgateway.surfaces.graphql.nodes import DEFAULT_PAGE as DEFAULT_NODES
from ccgateway.surfaces.graphql.queries import DEFAULT_PAGE
from ccgateway.surfaces.graphql.selection import Selection

__all__ = ["arguments_of", "check_cost", "check_items", "check_shape", "has_mutations", "operation_cost"]

#: fields inside of one another that GraphiQL's question for the schema needs, and some more
INTROSPECTION_DEPTH = 20
INTROSPECTION = ("__schema", "__type")

#: What every operation reaches is followed for each of them, and what is said twice is compared: these bound it.
MOST_REPEATS = 50
MOST_SPREADS = 100
MOST_OPERATIONS = 50

#: cost of a root field as such: it is at least one request to at least one site
ROOT_COST = 10
#: root fields whose size nobody can say beforehand: (cost as such, cost of each field selected below them)
LIST_COSTS = {
    "clusters": (500, 50),
    "users": (1000, 100),
    "tags": (500, 50),
    "sites": (100, 10),
    "jobsStatistics": (500, 50),
    "jobsMetricStats": (5000, 50),
    "jobsFootprints": (5000, 50),
    "rooflineHeatmap": (5000, 50),
    "globalMetrics": (500, 50),
    "nodes": (500, 50),
    "nodesWithMeta": (500, 50),
    "nodeStates": (500, 50),
    "nodeStatesTimed": (500, 50),
    "node": (100, 10),
    "user": (100, 10),
    "allocatedNodes": (100, 10),
    "__schema": (1000, 100),
    "__type": (1000, 100),
    "__typename": (0, 0),
}
USER_LIST_COST = 1000
#: what needs the whole list of users
OF_USER_LIST = frozenset({"roles", "projects"})
#: all nodes of a cluster, and what is measured on them
NODES_COST = 1000
#: what of a job is looked up job by job
LOOKED_UP = frozenset({"concurrentJobs", "energyFootprint"})
#: one metric of one job at one scope, and how many metrics a job has when nobody says which
METRIC_COST, ALL_METRICS = 10, 20
METRIC_FIELDS = frozenset({"jobMetrics", "jobStats", "scopedJobStats"})
NODES_FIELDS = frozenset({"nodeMetrics", "clusterMetrics"})
SCAN_COST = 5000
#: the averages of one metric of many jobs
AVERAGES_COST = 500
#: a filter is some twenty fields to coerce, and is looked at for every job read
FILTER_COST = 100
ITEM_COST = 10
#: one job looked up at one site by its database id, and a job looked for without knowing when it started
LOOKUP_COST, SEARCH_COST = 10, 1500

#: objects (filters, and what they list) and other items in all lists of a document and its variables
MOST_OBJECTS = 100
MOST_ITEMS = 1000
#: a mutation as such, one command, and reading the job of its result
WRITE_COST, COMMAND_COST, RESULT_JOB_COST = 100, 10, 10


def check_shape(document: DocumentNode, limits: LimitSettings) -> Items:
    """Refuses documents that nest too deep, use too many aliases, say the same too often, or list too much.

    Survives cycles of fragments. Gives the items of the document's lists.
    """
    operations = sum(isinstance(one, OperationDefinitionNode) for one in document.definitions)
    if operations > MOST_OPERATIONS:
        raise _over("has", operations, "operations", MOST_OPERATIONS)
    counts: Counter[str] = Counter()
    items = Items()
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    for definition in document.definitions:
        if isinstance(definition, (OperationDefinitionNode, FragmentDefinitionNode)):
            counted, listed = _count(definition.selection_set)
            counts, items = counts + counted, items + listed
        if isinstance(definition, OperationDefinitionNode):
            items += items_in(one.default_value for one in definition.variable_definitions or ())
            _check_depth(definition, fragments, limits.query_depth)
    if counts["aliases"] > limits.query_aliases:
        raise _over("uses", counts["aliases"], "aliases", limits.query_aliases, "query_aliases")
    for what, limit in (("fragment spreads", MOST_SPREADS), ("repeated fields", MOST_REPEATS)):
        if counts[what] > limit:
            raise _over("uses", counts[what], what, limit)
    check_items(items, limits, writes=has_mutations(document))
    return items


def has_mutations(document: DocumentNode) -> bool:
    """Whether an operation of the document is a mutation."""
    operations = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    return any(one.operation is OperationType.MUTATION for one in operations)


def check_items(items: Items, limits: LimitSettings, *, writes: bool) -> None:
    """Refuses lists with too many items in all; of a document that ``writes``, whose lists are commands, what costs too much."""
    if writes:
        least = items.objects + items.others
        if least > limits.query_cost:
            raise _over("costs", least, "for the items of its lists alone", limits.query_cost, "query_cost")
        return
    if items.objects > MOST_OBJECTS:
        raise _over("lists", items.objects, "filters", MOST_OBJECTS)
    if items.others > MOST_ITEMS:
        raise _over("lists", items.others, "values in its arguments", MOST_ITEMS)


def _count(top: SelectionSetNode) -> tuple[Counter[str], Items]:
    counts: Counter[str] = Counter()
    items = Items()
    stack = [top]
    while stack:
        keys: set[str] = set()
        for node in stack.pop().selections:
            if isinstance(node, FieldNode):
                key = (node.alias or node.name).value
                counts["aliases"] += node.alias is not None
                counts["repeated fields"] += key in keys
                keys.add(key)
                if node.arguments:
                    items += items_in(argument.value for argument in node.arguments)
            counts["fragment spreads"] += isinstance(node, FragmentSpreadNode)
            if isinstance(node, (FieldNode, InlineFragmentNode)) and node.selection_set:
                stack.append(node.selection_set)
    return counts, items


def arguments_of(document: DocumentNode) -> Iterator[ValueNode]:
    """What is written for the arguments of fields, anywhere in the document."""
    executable = (OperationDefinitionNode, FragmentDefinitionNode)
    stack = [one.selection_set for one in document.definitions if isinstance(one, executable)]
    while stack:
        for node in stack.pop().selections:
            if isinstance(node, FieldNode):
                yield from (argument.value for argument in node.arguments or ())
            if isinstance(node, (FieldNode, InlineFragmentNode)) and node.selection_set:
                stack.append(node.selection_set)


def _check_depth(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode], limit: int) -> None:
    # A stack instead of recursion: a chain of fragments may be longer than Python's stack. A fragment is walked again only
    # where it stands deeper than before, so that cycles end at the limit.
    deepest: dict[tuple[str, int], int] = {}
    stack = [(operation.selection_set, 1, limit)]
    while stack:
        selections, depth, most = stack.pop()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                if depth > most:
                    raise _over("nests", depth, "fields deep or deeper", most, "query_depth")
                if node.selection_set:
                    # only where it is valid, or a cycle of fragments through it would raise the limit for ever
                    is_introspection = depth == 1 and node.name.value in INTROSPECTION
                    stack.append((node.selection_set, depth + 1, depth + INTROSPECTION_DEPTH if is_introspection else most))
            elif isinstance(node, InlineFragmentNode):
                stack.append((node.selection_set, depth, most))
            elif isinstance(node, FragmentSpreadNode):
                fragment, seen = fragments.get(node.name.value), (node.name.value, most)
                if fragment and deepest.get(seen, 0) < depth:
                    deepest[seen] = depth
                    stack.append((fragment.selection_set, depth, most))


def check_cost(cost: int, limits: LimitSettings) -> None:
    """Refuses operations that cost more than ``query_cost``."""
    if cost > limits.query_cost:
        raise _over("costs", cost, "(jobs times fields, and the like)", limits.query_cost, "query_cost")


def operation_cost(roots: Sequence[Selection], variables: VariableValues, limits: LimitSettings) -> int:
    """The cost of an operation with these root fields, by the formula above."""
    return sum(_root_cost(root, variables, limits) for root in roots)


def _root_cost(root: Selection, variables: VariableValues, limits: LimitSettings) -> int:
    items = items_in(root.written, variables.coerced)
    if root.parent.name == "Mutation":
        commands = commands_in(root.written, variables.coerced)
        each = COMMAND_COST + (RESULT_JOB_COST if root.selects("job") else 0)
        return WRITE_COST + commands * each + _tenth(commands * (root.size - 1)) + items.objects + items.others - commands
    lists = FILTER_COST * items.objects + ITEM_COST * items.others
    if root.name in LIST_COSTS:
        as_such, each = LIST_COSTS[root.name]
        listed = USER_LIST_COST if root.name == "user" and any(map(root.selects, OF_USER_LIST)) else 0
        return as_such + each * (root.size - 1) + lists + listed + _reading_cost(root, variables)
    if root.name in NODES_FIELDS:
        return NODES_COST + _metrics_cost(root, variables) + _tenth(root.size - 1) + lists
    if root.name == "nodeMetricsList":
        nodes = _page_size(root, variables, limits)
        fields = sum(one.size for one in root.below("items"))
        return ROOT_COST + nodes + nodes * _metrics_cost(root, variables) + _tenth(nodes * fields) + lists
    if root.name in METRIC_FIELDS:
        return ROOT_COST + _metrics_cost(root, variables) + _tenth(root.size - 1) + lists
    rows = root.below("items") if root.name == "jobs" else root.children
    skipped, jobs, scan = _extent(root, variables, limits) if root.name == "jobs" else (0, 1, 0)
    users = USER_LIST_COST if any(row.name == "userData" for row in rows) else 0
    fields = sum(row.size for row in rows)
    metrics = sum(_metrics_cost(row, variables) for row in rows if row.name == "metrics")
    calls = _lookups_cost(root, variables) + LOOKUP_COST * jobs * sum(row.name in LOOKED_UP for row in rows)
    return ROOT_COST + skipped + jobs + _tenth(jobs * fields) + jobs * metrics + users + scan + lists + calls


def _lookups_cost(root: Selection, variables: VariableValues) -> int:
    try:
        if root.name == "jobByKey":
            return SEARCH_COST if root.arguments(("startTime",), variables).get("startTime") is None else 0
        arguments = root.arguments(("filter",), variables) if root.name == "jobs" else {}
    except GraphQLError:  # execution comes to the same error and reports it
        return 0
    return LOOKUP_COST * sum(len(one.get("dbId") or ()) for one in arguments.get("filter") or ())


def _metrics_cost(selection: Selection, variables: VariableValues) -> int:
    try:
        arguments = selection.arguments(("metrics", "scopes"), variables)
    except GraphQLError:  # execution comes to the same error and reports it
        arguments = {}
    names, scopes = arguments.get("metrics"), arguments.get("scopes")
    return METRIC_COST * (ALL_METRICS if names is None else max(1, len(names))) * max(1, len(scopes or ()))


def _page_size(selection: Selection, variables: VariableValues, limits: LimitSettings) -> int:
    """Of a page of nodes."""
    try:
        page = selection.arguments(("page",), variables).get("page")
    except GraphQLError:  # execution comes to the same error and reports it
        return 0
    return min(max(page["itemsPerPage"], 0), limits.page_jobs) if isinstance(page, dict) else DEFAULT_NODES


def _tenth(number: int) -> int:
    return -(-number // 10)  # rounded up, without the inexactness of fractions


def _reading_cost(root: Selection, variables: VariableValues) -> int:
    """What it costs that every job is counted, and that each has a value of every metric."""
    if root.name not in ("jobsStatistics", "jobsFootprints"):
        return 0
    try:
        if root.name == "jobsStatistics":
            return SCAN_COST if root.arguments(("exact",), variables).get("exact") else 0
        return AVERAGES_COST * len(set(root.arguments(("metrics",), variables)["metrics"]))
    except GraphQLError:  # execution comes to the same error and reports it
        return 0


def _extent(root: Selection, variables: VariableValues, limits: LimitSettings) -> tuple[int, int, int]:
    """(jobs before the page, jobs on it, what reading all jobs costs if that is needed)."""
    try:
        arguments: dict[str, Any] = root.arguments(("page", "first", "order"), variables)
    except GraphQLError:  # execution comes to the same error and reports it
        return 0, 0, 0
    page, first = arguments.get("page"), arguments.get("first")
    scan = SCAN_COST if root.selects("count") or not _is_newest_first(arguments.get("order")) else 0
    if isinstance(page, dict):
        size, number = page["itemsPerPage"], page["page"]
    else:
        size, number = (DEFAULT_PAGE if first is None else first), 1
    if size == EVERYTHING or size > limits.page_jobs:  # given only where no more match than a page may have
        return 0, limits.page_jobs, scan
    size = max(size, 0)
    return size * max(number - 1, 0), size, scan


def _is_newest_first(order: Mapping[str, Any] | None) -> bool:
    return order is None or (order["field"], order["type"], order["order"]) == ("startTime", "col", SortDirection.DESC)


def _over(verb: str, found: int, what: str, limit: int, setting: str | None = None) -> RequestError:
    named = f" (limits.{setting})" if setting else ""
    return RequestError(Code.LIMIT_EXCEEDED, f"The query {verb} {found} {what}; the limit is {limit}{named}.")
