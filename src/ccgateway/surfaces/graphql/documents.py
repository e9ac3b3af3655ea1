"""Query texts → parsed and validated documents, remembered by their text.

The cache is bounded in documents and in (estimated) bytes: a parsed document takes far more memory than its text.
"""

from __future__ import annotations

import asyncio
import re
import sys
from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from cachetools import LRUCache
from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    Source,
    SourceLocation,
    ValueNode,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.execution.values import VariableValues

from ccgateway.errors import Code, RequestError
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.failures import Refusal, request_entries
from ccgateway.surfaces.graphql.limits import arguments_of, check_shape, has_mutations
from ccgateway.surfaces.graphql.lists import Items, has_long_int_lists, is_long_int_list
from ccgateway.surfaces.graphql.merging import FieldsAgreeRule
from ccgateway.surfaces.graphql.plans import Plan
from ccgateway.surfaces.graphql.selection import SelectionRequest

__all__ = ["Document", "Documents"]

#: what one token of a parsed document takes, text, node and position together (measured: 390 to 610)
BYTES_PER_TOKEN = 650
#: validation errors of one document that are worth telling
MOST_ERRORS = 20
#: tokens and characters of a document that is read on the spot, at some 40 and 0.3 microseconds each; larger ones are read in a
#: thread. Of those with more tokens fewer errors are told, as each may repeat all of it
FEW_TOKENS, FEW_CHARACTERS, FEW_ERRORS = 500, 16_000, 5
#: characters for each token that a document may have: to say where one stands, graphql-core looks at all that come before
CHARACTERS_PER_TOKEN = 20
#: characters of a name: the schema has none of that length, and unknown ones are compared with all that there are
LONGEST_NAME = 255
#: graphql-core's, but for the one that compares every field with every other one
RULES = tuple(FieldsAgreeRule if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules)
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

    def __init__(self, schema: GraphQLSchema, limits: LimitSettings, *, most: int = 500, most_bytes: int = 64 << 20) -> None:
        self._schema, self._limits = schema, limits
        self._most = most
        self._held: LRUCache[str, Document] = LRUCache(most_bytes, getsizeof=lambda document: document.weight)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="documents")  # starts none before it is used

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes_held(self) -> int:
        """Estimated bytes that the remembered documents take."""
        return int(self._held.currsize)

    def get(self, text: str) -> Document:
        """The document that ``text`` is. Raises ``Refusal`` if it cannot be parsed, is not valid, or is over a limit."""
        return self._held.get(text) or self._keep(text, self._read(text, self._tokens(text)))

    async def fetch(self, text: str) -> Document:
        """As ``get``; large texts are read in a thread, so that nobody waits for what others wrote."""
        if (document := self._held.get(text)) is not None:
            return document
        loop = asyncio.get_running_loop()
        is_short = len(text) <= 8 * FEW_TOKENS
        tokens = self._tokens(text) if is_short else await loop.run_in_executor(self._thread, self._tokens, text)
        if tokens <= FEW_TOKENS and len(text) <= FEW_CHARACTERS:
            return self._keep(text, self._read(text, tokens))
        return self._keep(text, await loop.run_in_executor(self._thread, self._read, text, tokens))

    def _keep(self, text: str, document: Document) -> Document:
        if text in self._held:  # another request was first
            return self._held[text]
        self._weigh(document)
        return document

    def _weigh(self, document: Document) -> None:
        """Keeps the document with the weight that it has now."""
        self._held.pop(document.text, None)
        if document.weight <= self._held.maxsize:
            self._held[document.text] = document
        if len(self._held) > self._most:
            self._held.popitem()

    def plan(self, document: Document, operation: OperationDefinitionNode, variables: VariableValues) -> Plan:
        """The plan of one operation of ``document`` for these variables. Raises ``RequestError`` if it selects too much, and
        ``GraphQLError`` where a directive cannot be applied."""
        key = (id(operation), *[variables.coerced.get(name) for name in document.switches])
        plan = document.plans.get(key)
        if plan is None:
            request = SelectionRequest(self._schema, document.fragments, variables)
            plan = Plan(request, operation, self._limits)
            if self._held.get(document.text) is document:
                if len(document.plans) >= MOST_PLANS:
                    document.weight -= sum(one.weight for one in document.plans.values())
                    document.plans.clear()
                document.plans[key] = plan
                document.weight += plan.weight
                self._weigh(document)
        return plan

    def _tokens(self, text: str) -> int:
        """How many tokens ``text`` has, found out before it is parsed. Raises ``Refusal`` where they are too many."""
        most, most_listed = self._limits.query_tokens, self._limits.query_cost
        for amount, allowed, what in (
            (len(text), CHARACTERS_PER_TOKEN * (most + most_listed), "characters"),
            (max(text.count("\n"), text.count("\r")), most + most_listed, "lines"),
        ):
            if amount > allowed:
                words = "what limits.query_tokens and limits.query_cost leave room for. Send long values as variables."
                raise Refusal.because(Code.LIMIT_EXCEEDED, f"The query has more than {allowed} {what}, {words}")
        outside, inside = _count_tokens(text)
        if outside > most:
            message = f"The query has more than {most} tokens, which is the limit (limits.query_tokens)."
            raise Refusal.because(Code.LIMIT_EXCEEDED, message)
        if inside > most_listed:
            message = f"The query has more than {most_listed} tokens in lists, which cost too much (limits.query_cost)."
            raise Refusal.because(Code.LIMIT_EXCEEDED, message)
        return outside + inside

    def _read(self, text: str, tokens: int) -> Document:
        node = _parse(text)
        try:
            items = check_shape(node, self._limits)
            most = MOST_ERRORS if tokens <= FEW_TOKENS else FEW_ERRORS
            errors = validate(self._schema, _condensed(node), RULES, max_errors=most)
        except RequestError as error:
            raise Refusal.of(error) from None
        if errors:
            code = Code.GRAPHQL_VALIDATION_FAILED
            raise Refusal(code, request_entries(code, errors))
        fragments = {one.name.value: one for one in node.definitions if isinstance(one, FragmentDefinitionNode)}
        operations = {
            one.name.value if one.name else None: one for one in node.definitions if isinstance(one, OperationDefinitionNode)
        }
        weight = sys.getsizeof(text) + BYTES_PER_TOKEN * (node.token_count or 0)
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


#: one token of a document; what fits nothing here is no token, and left to the parser
_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"""|"(?:[^"\\\n]|\\.)*+"|\#[^\n\r]*|\.\.\.|[A-Za-z_][A-Za-z_0-9]*|[-0-9][-+.0-9eE]*|[^\s,\ufeff]',
    re.DOTALL,
)


def _count_tokens(text: str) -> tuple[int, int]:
    """(tokens outside of lists, tokens within), comments included. Raises ``Refusal`` for a name that is too long."""
    outside = inside = depth = 0
    for found in _TOKEN.finditer(text):
        start, end = found.span()
        mark = text[start]
        if (mark == '"' and (end - start == 1 or (end - start == 2 and text[end : end + 1] == '"'))) or mark == "\\":
            break  # a text without an end, at which the parser stops, too
        if mark == "]":
            depth -= 1
        if depth > 0:
            inside += 1
        else:
            outside += 1
        if mark == "[":
            depth += 1
        elif end - start > LONGEST_NAME and (mark.isalpha() or mark == "_"):
            raise Refusal.because(Code.LIMIT_EXCEEDED, f"A name in the query has more than {LONGEST_NAME} characters.")
    return outside, inside


class _Condensing(Visitor):
    """Leaves of long lists of integers, such as a job's hardware threads, only the ends: whatever fits them fits all between."""

    def enter_list_value(self, node: ListValueNode, *_: object) -> ListValueNode | None:
        return None if not is_long_int_list(node) else ListValueNode(values=_ends(node.values), loc=node.loc)


def _condensed(document: DocumentNode) -> DocumentNode:
    """What is validated in place of ``document``."""
    if not has_long_int_lists(arguments_of(document)):
        return document
    condensed: DocumentNode = visit(document, _Condensing())
    return condensed


def _ends(values: Sequence[ValueNode]) -> tuple[ValueNode, ...]:
    # by their digits: numbers of thousands of them are not read
    texts = [(one, one.value) for one in values if isinstance(one, IntValueNode)]
    signs = ([pair for pair in texts if pair[1].startswith("-") is negative] for negative in (True, False))
    return tuple(max(pairs, key=lambda pair: (len(pair[1]), pair[1]))[0] for pairs in signs if pairs)


class _Text(Source):
    """A text whose lines are looked for once, however many errors say where they are in it."""

    @cached_property
    def _line_ends(self) -> tuple[list[int], list[int]]:
        found = [one.span() for one in re.finditer(r"\r\n|[\n\r]", self.body)]
        return [start for start, _ in found], [end for _, end in found]

    def get_location(self, position: int) -> SourceLocation:
        """As graphql-core's."""
        starts, ends = self._line_ends
        before = bisect_left(starts, position)
        return SourceLocation(before + 1, position + 1 - (ends[before - 1] if before else 0))


def _parse(text: str) -> DocumentNode:
    try:
        return parse(_Text(text))
    except GraphQLError as error:
        code = Code.GRAPHQL_PARSE_FAILED
        raise Refusal(code, request_entries(code, [error])) from None
