"""Query texts → parsed and validated documents, remembered by their text.

The cache is bounded in documents and in (estimated) bytes: a parsed document takes far more memory than its text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    validate,
    visit,
)
from graphql.execution.values import VariableValues

from ccgateway.errors import Code, RequestError
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.failures import Refusal, request_entries
from ccgateway.surfaces.graphql.limits import check_shape, has_mutations
from ccgateway.surfaces.graphql.lists import Items
from ccgateway.surfaces.graphql.plans import Plan
from ccgateway.surfaces.graphql.selection import SelectionRequest

__all__ = ["Document", "Documents"]

#: what one token of a parsed document takes, text, node and position together (measured: 390 to 610)
BYTES_PER_TOKEN = 650
#: validation errors of one document that are worth telling
MOST_ERRORS = 20
#: plans kept for one document: only documents with many switches come to more
MOST_PLANS = 16


@dataclass(slots=True)
class Document:
    """A document that is valid against the schema; ``items``: of its lists; ``switches``: the variables in its directives;
    ``writes``: whether an operation of it is a mutation.

    ``weight``: estimated bytes it takes in memory, with its ``plans``.
    """

    text: str
    node: DocumentNode
    fragments: Mapping[str, FragmentDefinitionNode]
    operations: Mapping[str | None, OperationDefinitionNode]
    switches: frozenset[str]
    items: Items
    writes: bool
    weight: int
    plans: dict[Hashable, Plan] = field(default_factory=dict)

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """The operation of that name, or the only one; ``None`` if there is none, or no telling which is meant."""
        if name is None and len(self.operations) != 1:
            return None
        return next(iter(self.operations.values())) if name is None else self.operations.get(name)


class Documents:
    """The least recently used documents, plans and all, go first when there are more than ``most`` or they take more than
    ``most_bytes``."""

    def __init__(
        self, schema: GraphQLSchema, limits: LimitSettings, *, sites: int = 1, most: int = 500, most_bytes: int = 64 << 20
    ) -> None:
        self._schema, self._limits, self._sites = schema, limits, sites
        self._most, self._most_bytes = most, most_bytes
        self._held: OrderedDict[str, Document] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes_held(self) -> int:
        """Estimated bytes that the remembered documents take."""
        return self._bytes

    def get(self, text: str) -> Document:
        """The document that ``text`` is. Raises ``Refusal`` if it cannot be parsed, is not valid, or is over a limit."""
        document = self._held.get(text)
        if document is not None:
            self._held.move_to_end(text)
            return document
        document = self._read(text)
        if document.weight <= self._most_bytes:
            self._held[text] = document
            self._grow(document.weight)
        return document

    def plan(self, document: Document, operation: OperationDefinitionNode, variables: VariableValues) -> Plan:
        """The plan of one operation of ``document`` for these variables. Raises ``RequestError`` if it selects too much, and
        ``GraphQLError`` where a directive cannot be applied."""
        key = (id(operation), *[variables.coerced.get(name) for name in document.switches])
        plan = document.plans.get(key)
        if plan is None:
            request = SelectionRequest(self._schema, document.fragments, variables)
            plan = Plan(request, operation, self._limits, sites=self._sites)
            if self._held.get(document.text) is document:
                if len(document.plans) >= MOST_PLANS:
                    self._forget_plans(document)
                document.plans[key] = plan
                document.weight += plan.weight
                self._grow(plan.weight)
        return plan

    def _forget_plans(self, document: Document) -> None:
        weight = sum(plan.weight for plan in document.plans.values())
        document.plans.clear()
        document.weight -= weight
        self._bytes -= weight

    def _grow(self, weight: int) -> None:
        self._bytes += weight
        while len(self._held) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._held.popitem(last=False)[1].weight

    def _read(self, text: str) -> Document:
        node = _parse(text, self._limits.query_tokens)
        try:
            items = check_shape(node, self._limits)
        except RequestError as error:
            raise Refusal.of(error) from None
        if errors := validate(self._schema, node, max_errors=MOST_ERRORS):
            code = Code.GRAPHQL_VALIDATION_FAILED
            raise Refusal(code, request_entries(code, errors))
        fragments = {one.name.value: one for one in node.definitions if isinstance(one, FragmentDefinitionNode)}
        operations = {
            one.name.value if one.name else None: one for one in node.definitions if isinstance(one, OperationDefinitionNode)
        }
        weight = len(text) + BYTES_PER_TOKEN * (node.token_count or 0)
        return Document(text, node, fragments, operations, _switches(node), items, has_mutations(node), weight)


class _Switches(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        values = [argument.value for argument in node.arguments or ()]
        self.names.update(value.name.value for value in values if isinstance(value, VariableNode))


def _switches(node: DocumentNode) -> frozenset[str]:
    visitor = _Switches()
    visit(node, visitor)
    return frozenset(visitor.names)


def _parse(text: str, most_tokens: int) -> DocumentNode:
    try:
        return parse(text, max_tokens=most_tokens)
    except GraphQLError as error:
        if error.message.endswith(f"Document contains more than {most_tokens} tokens. Parsing aborted."):
            message = f"The query has more than {most_tokens} tokens, which is the limit."
            raise Refusal.because(Code.LIMIT_EXCEEDED, message) from None
        code = Code.GRAPHQL_PARSE_FAILED
        raise Refusal(code, request_entries(code, [error])) from None
