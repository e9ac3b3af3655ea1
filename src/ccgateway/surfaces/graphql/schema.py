"""The schema: a superset of cc-backend 1.5's own, so that a document written for one instance runs against all of them.

::

    scalars                     Time, Int64, JobState, MetricScope, NullableFloat, Any
    inputs                      what callers write, translated into the gateway's values
    jobs  joblist               Job and what hangs on it; one page of jobs
    metrics                     JobMetricWithName, statistics, and the fields that give them
    statistics  footprints      figures and metrics of many jobs
    clusters  users  sites      the other types
    nodes                       nodes and what is measured on them; metrics over all clusters
    details                     jobs beside a job, its energy
    configuration               settings of a caller's own front end
    arguments                   arguments that several root fields have
    queries                     the root fields of Query
    mutation_inputs             the inputs of mutations, translated into write commands
    results                     what commands came to
    tagging                     tags over all sites: the list, and cc-backend's own mutations
    mutations                   the root fields of Mutation
    selection                   what a question selects → the row attributes the sites must send
    converting                  arguments as graphql-core has them → as resolvers take them
    plans  projection           an operation worked out once; plain objects written without field-by-field execution
"""

from __future__ import annotations

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.mutations import Mutation
from ccgateway.surfaces.graphql.queries import Query
from ccgateway.surfaces.graphql.scalars import SCALARS

__all__ = ["SCHEMA", "core_schema", "sdl"]

SCHEMA = strawberry.Schema(query=Query, mutation=Mutation, config=StrawberryConfig(scalar_map=SCALARS, info_class=Info))


def core_schema() -> GraphQLSchema:
    """The schema as graphql-core executes it."""
    return SCHEMA._schema


def sdl() -> str:
    """The schema as text, the same for the same version of the gateway; ends with a newline."""
    return SCHEMA.as_str().rstrip() + "\n"
