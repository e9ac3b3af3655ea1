"""What distinguishes one cc-backend release from another, as values.

:class:`Release` is the one place where releases differ; everything else in the simulator reads its fields.
:data:`RELEASES` holds the five dialects: ``1.2`` (1.2.2), ``1.3`` (1.3.1), ``1.4`` (1.4.4), ``1.5`` (1.5.4) and ``howto``
(the API as the how-to page documents it, which no real release speaks).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

__all__ = ["RELEASES", "Meaning", "Release", "Tie", "Ties", "TokenTexts"]


class Meaning(Enum):
    """What a query key of the job list stands for."""

    STATE = "state"
    CLUSTER = "cluster"
    PROJECT = "project"
    USER = "user"
    WINDOW = "window"
    FROM = "from"
    UNTIL = "until"
    NODES_FROM = "nodes from"
    PAGE = "page"
    ITEMS = "items"
    METADATA = "metadata"


class Tie(Enum):
    """How jobs with one start time are ordered: a matter of which index the database walks."""

    NEWEST = "id descending"
    OLDEST = "id ascending"
    LONGEST = "stored duration descending, id descending"
    STATE_NODES = "state, number of nodes, id ascending"
    STATE_SHORTEST = "state, stored duration, id ascending"
    ANY = "another one with every question, as no release promises any"


@dataclass(frozen=True, slots=True)
class Ties:
    """The order of ties by what is asked for; the first that applies counts."""

    cluster: Tie
    owner: Tie  #: project or user
    one_state: Tie
    several_states: Tie
    otherwise: Tie = Tie.NEWEST


@dataclass(frozen=True, slots=True)
class TokenTexts:
    """How a release words the refusal of a bad token."""

    malformed: str
    forged: str
    algorithm: str
    expired: str
    premature: str
    no_subject: str | None = None  #: None: a token without ``sub`` is accepted
    future_iat: str | None = None  #: None: ``iat`` is not looked at


@dataclass(frozen=True, slots=True)
class Release:
    """One dialect."""

    name: str
    version: str
    states: frozenset[str]
    parameters: dict[str, Meaning]  #: query keys of the job list; anything else is refused
    tokens: TokenTexts

    # routing
    chi: bool  #: False: gorilla/mux (301 for a missing slash, 404 text for everything unknown)
    userapi: bool
    single_by_get: bool
    clusters_by_rest: bool
    used_nodes: bool
    stop_by_id: bool
    edit_meta: frozenset[str]  #: methods of ``edit_meta/{id}``; empty: absent
    edit_meta_by_key: bool
    untag: bool
    refuses_cross_site: bool  #: by the browser's Sec-Fetch-Site

    # who may do what
    role_gate: bool  #: True: roles are checked before routing to a handler (401); False: by each handler (403)
    support_on_userapi: bool
    row_visibility: bool  #: False: a job by id is shown to everybody
    tag_scopes: bool

    # answers
    strict_paging: bool
    ties: Ties
    stored_duration_wins: bool  #: a running job's stored duration is shown unless 0
    zoned_single: bool  #: single-job answers carry startTime as RFC 3339
    bare_post_meta: bool  #: POST jobs/{id} fills neither tags nor metaData
    wrapped_single: bool  #: ``{"Meta", "Data"}`` around a single job
    lists_metadata: bool  #: lists always fill metaData
    text_errors: bool  #: some errors are text/plain
    job_not_found: str
    scope_refused: str
    body_refused: str
    request_type: str
    users_refused: str
    panics_without_cluster: bool

    # metrics
    statistics_from: int  #: number of series from which statisticsSeries appear
    median: bool
    thins_out_from: int  #: samples from which on a series is thinned out (0: never)
    shared_archive: bool  #: a node scope computed once stays in the cached archive data

    # writing
    commit_worker: bool  #: started jobs wait in a table of their own until a worker moves them where reads look
    start_tells_id: bool
    start_honours_state: bool  #: a job can be born in another state than running
    exclusive_body: bool  #: start_job takes ``exclusive``; False: ``shared``
    energy_body: bool  #: start_job takes energy and footprint
    memory_body: bool  #: start_job takes requestedMemory and submitTime
    free_metadata: bool  #: edit_meta takes any keys; False: one ``key`` and its ``value``
    go_job: str  #: Go's name of what start_job decodes into
    go_embedded: str  #: Go's name of the struct inside it that has most of its fields
    go_api: str  #: how its request types spell "API"
    checks: dict[str, str]  #: the database's own checks by column, as its errors cite them
    stop_missing: int  #: status for a job that is not there
    stop_explains: bool  #: says what is wrong with a stop; False: one sentence for several reasons
    newest_match: bool  #: of several jobs that a key fits, the newest is meant; False: the oldest
    capital_errors: bool  #: errors about tags begin with a capital letter
    counts_deleted: bool  #: False: delete_job_before always says 0
    omits_tagged: bool
    deletes_by_end: bool  #: delete_job_before goes by the end of jobs
    null_metadata_crashes: bool  #: editing metadata of a job that was archived without any
    user_forms: bool  #: /users/ and /user/{id} take forms
    user_json: bool  #: /user/{id} takes JSON

    # GraphQL
    introspection: bool
    query_by_get: bool
    order_needs_type: bool
    located_resolver_errors: bool
    zero_is_open: bool  #: ranges: an end that is 0 is open, a negative one lifts the condition; False: both are literal
    filters_live_duration: bool  #: by duration: running jobs by how long they run; False: by what is stored
    filters_exclusive: bool
    filters_hosts: bool  #: by node: host by host; False: in the text of all resources
    job_name_is_text: bool  #: by job name: in the text of all metadata
    doubles_tagged: bool  #: a job counts, and comes, once for each of its tags that is asked for
    tells_next_page: bool

    @property
    def howto(self) -> bool:
        return self.name == "howto"


_OLD_STATES = frozenset({"running", "completed", "failed", "cancelled", "stopped", "timeout", "preempted", "out_of_memory"})
_NEW_STATES = (_OLD_STATES - {"stopped"}) | {"boot_fail", "deadline", "node_fail", "pending", "suspended"}

_MONITORING = {"monitoring_status": "monitoring_status IN (0, 1, 2, 3)"}
_OLD_CHECKS = {
    "smt": "smt               IN (0, 1   )",
    "exclusive": "exclusive         IN (0, 1, 2)",
} | _MONITORING
_NEW_CHECKS = {
    "smt": "smt IN (0, 1)",
    "exclusive": 'shared IN ("none", "single_user", "multi_user")',
} | _MONITORING

_PARAMETERS = {
    "state": Meaning.STATE,
    "cluster": Meaning.CLUSTER,
    "start-time": Meaning.WINDOW,
    "page": Meaning.PAGE,
    "items-per-page": Meaning.ITEMS,
    "with-metadata": Meaning.METADATA,
}

_TOKENS_13 = TokenTexts(
    malformed="token is malformed: token contains an invalid number of segments",
    forged="token signature is invalid: ed25519: verification error",
    algorithm="token is unverifiable: error while executing keyfunc: only Ed25519/EdDSA supported",
    expired="token has invalid claims: token is expired",
    premature="token has invalid claims: token is not valid yet",
)
_TOKENS_12 = TokenTexts(
    malformed="token contains an invalid number of segments",
    forged="ed25519: verification error",
    algorithm="only Ed25519/EdDSA supported",
    expired="Token is expired",
    premature="Token is not valid yet",
    future_iat="Token used before issued",
)

_V12 = Release(
    name="1.2",
    version="1.2.2",
    states=_OLD_STATES,
    parameters=_PARAMETERS,
    tokens=_TOKENS_12,
    chi=False,
    userapi=False,
    single_by_get=False,
    clusters_by_rest=False,
    used_nodes=False,
    stop_by_id=True,
    edit_meta=frozenset(),
    edit_meta_by_key=False,
    untag=False,
    refuses_cross_site=False,
    role_gate=False,
    support_on_userapi=False,
    row_visibility=False,
    tag_scopes=False,
    strict_paging=False,
    ties=Ties(cluster=Tie.OLDEST, owner=Tie.NEWEST, one_state=Tie.NEWEST, several_states=Tie.NEWEST),
    stored_duration_wins=True,
    zoned_single=True,
    bare_post_meta=True,
    wrapped_single=True,
    lists_metadata=False,
    text_errors=True,
    job_not_found="finding job failed: {reason}",
    scope_refused="{reason}",
    body_refused="{reason}",
    request_type="api.GetJobApiRequest",
    users_refused="Only admins are allowed to fetch a list of users",
    panics_without_cluster=False,
    statistics_from=16,
    median=False,
    thins_out_from=0,
    shared_archive=True,
    commit_worker=False,
    start_tells_id=True,
    start_honours_state=True,
    exclusive_body=True,
    energy_body=False,
    memory_body=False,
    free_metadata=False,
    go_job="JobMeta",
    go_embedded="BaseJob.",
    go_api="Api",
    checks=_OLD_CHECKS,
    stop_missing=422,
    stop_explains=False,
    newest_match=False,
    capital_errors=True,
    counts_deleted=True,
    omits_tagged=False,
    deletes_by_end=False,
    null_metadata_crashes=True,
    user_forms=True,
    user_json=False,
    introspection=True,
    query_by_get=True,
    order_needs_type=False,
    located_resolver_errors=False,
    zero_is_open=False,
    filters_live_duration=True,
    filters_exclusive=False,
    filters_hosts=False,
    job_name_is_text=True,
    doubles_tagged=True,
    tells_next_page=False,
)
_V13 = replace(
    _V12,
    name="1.3",
    version="1.3.1",
    tokens=_TOKENS_13,
    single_by_get=True,
    clusters_by_rest=True,
    edit_meta=frozenset({"POST", "PATCH"}),
    bare_post_meta=False,
    counts_deleted=False,
    job_name_is_text=False,
)
_V14 = replace(
    _V13,
    name="1.4",
    version="1.4.4",
    userapi=True,
    stop_by_id=False,
    untag=True,
    role_gate=True,
    row_visibility=True,
    tag_scopes=True,
    ties=Ties(cluster=Tie.NEWEST, owner=Tie.NEWEST, one_state=Tie.NEWEST, several_states=Tie.STATE_NODES),
    stored_duration_wins=False,
    job_not_found="finding job with db id {id} failed: {reason}",
    panics_without_cluster=True,
    median=True,
    thins_out_from=100,
    shared_archive=False,
    start_tells_id=False,
    start_honours_state=False,
    energy_body=True,
    stop_explains=True,
    newest_match=True,
    user_forms=False,
    introspection=False,
    query_by_get=False,
    order_needs_type=True,
    filters_live_duration=False,
    filters_exclusive=True,
    filters_hosts=True,
    doubles_tagged=False,
    tells_next_page=True,
)
_V15 = replace(
    _V14,
    name="1.5",
    version="1.5.4",
    states=_NEW_STATES,
    parameters=_PARAMETERS | {"project": Meaning.PROJECT},
    tokens=replace(_TOKENS_13, no_subject="missing 'sub' claim in JWT"),
    chi=True,
    used_nodes=True,
    edit_meta=frozenset({"PATCH"}),
    edit_meta_by_key=True,
    refuses_cross_site=True,
    support_on_userapi=True,
    strict_paging=True,
    ties=Ties(cluster=Tie.LONGEST, owner=Tie.LONGEST, one_state=Tie.LONGEST, several_states=Tie.STATE_SHORTEST),
    zoned_single=False,
    text_errors=False,
    scope_refused="unmarshaling scope failed: {reason}",
    body_refused="decoding request failed: {reason}",
    request_type="api.GetJobAPIRequest",
    users_refused="only admins are allowed to fetch a list of users",
    statistics_from=8,
    thins_out_from=1000,
    commit_worker=True,
    exclusive_body=False,
    memory_body=True,
    go_job="Job",
    go_embedded="",
    go_api="API",
    checks=_NEW_CHECKS,
    stop_missing=404,
    capital_errors=False,
    counts_deleted=True,
    omits_tagged=True,
    user_json=True,
    located_resolver_errors=True,
    zero_is_open=True,
    filters_exclusive=False,
)
_HOWTO = replace(
    _V15,
    name="howto",
    version="howto",
    parameters={
        "state": Meaning.STATE,
        "cluster": Meaning.CLUSTER,
        "user": Meaning.USER,
        "project": Meaning.PROJECT,
        "startTime[from]": Meaning.FROM,
        "startTime[to]": Meaning.UNTIL,
        "numNodes[from]": Meaning.NODES_FROM,
        "page": Meaning.PAGE,
        "items_per_page": Meaning.ITEMS,
    },
    used_nodes=False,
    stop_by_id=True,
    edit_meta=frozenset({"POST", "PATCH"}),
    edit_meta_by_key=False,
    refuses_cross_site=False,
    ties=Ties(cluster=Tie.NEWEST, owner=Tie.NEWEST, one_state=Tie.NEWEST, several_states=Tie.NEWEST),
    wrapped_single=False,
    lists_metadata=True,
    panics_without_cluster=False,
    commit_worker=False,
    start_tells_id=True,
    free_metadata=True,
    omits_tagged=False,
    deletes_by_end=True,
    null_metadata_crashes=False,
    user_json=False,
)

RELEASES: dict[str, Release] = {r.name: r for r in (_V12, _V13, _V14, _V15, _HOWTO)}
