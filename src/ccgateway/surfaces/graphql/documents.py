"""Query texts → parsed and validated documents, remembered by their text.

The cache is bounded in documents and in (estimated) bytes: a parsed document takes far more memory than its text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from graphql import DocumentNode, FragmentDefinitionNode, GraphQLError, GraphQLSchema, parse, validate

from ccgateway.errors import Code, RequestError
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.failures import Refusal, request_entries
from ccgateway.surfaces.graphql.limits import check_shape, has_mutations
from ccgateway.surfaces.graphql.lists import Items
from ccgateway.surfaces.graphql.projection import Projection

__all__ = ["Document", "Documents"]

#: what one token of a parsed document takes, text, node and position together (measured: 390 to 610)
BYTES_PER_TOKEN = 650
#: validation errors of one document that are worth telling
MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Document:
    """A document that is valid against the schema; ``weight``: estimated bytes it takes in memory; ``items``: of its lists;
    ``writes``: whether an operation of it is a mutation.

    ``plans`` holds what execution works out once per document (see ``execution``) and goes with it.
    """

    node: DocumentNode
    fragments: Mapping[str, FragmentDefinitionNode]
    weight: int
    items: Items
    writes: bool
    plans: dict[Hashable, Projection | None] = field(default_factory=dict)


class Documents:
    """The least recently used documents go first when there are more than ``most`` or they take more than ``most_bytes``."""

    def __init__(self, schema: GraphQLSchema, limits: LimitSettings, *, most: int = 500, most_bytes: int = 64 << 20) -> None:
        self._schema, self._limits = schema, limits
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
            self._bytes += document.weight
            while len(self._held) > self._most or self._bytes > self._most_bytes:
                self._bytes -= self._held.popitem(last=False)[1].weight
        return document

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
        return Document(node, fragments, len(text) + BYTES_PER_TOKEN * (node.token_count or 0), items, has_mutations(node))


def _parse(text: str, most_tokens: int) -> DocumentNode:
    try:
        return parse(text, max_tokens=most_tokens)
    except GraphQLError as error:
        if error.message.endswith(f"Document contains more than {most_tokens} tokens. Parsing aborted."):
            message = f"The query has more than {most_tokens} tokens, which is the limit."
            raise Refusal.because(Code.LIMIT_EXCEEDED, message) from None
        code = Code.GRAPHQL_PARSE_FAILED
        raise Refusal(code, request_entries(code, [error])) from None
