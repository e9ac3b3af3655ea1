"""The mutations of ``POST /query``: tags made, put on jobs, taken off and removed. Anybody may up to 1.3.

Each resolver takes the call and its arguments and answers plain values, or raises
:class:`~ccgateway.simulator.call.FieldError` in the site's words.
Nothing is atomic: what came before the id that fails stays done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.job import Job, Tag
from ccgateway.simulator.messages import GoError, parse_int
from ccgateway.simulator.writing.labels import TAKEN, LabelError, may_label_by_graphql, put_on, take_off
from ccgateway.simulator.writing.refusing import NO_ROWS

__all__ = ["MUTATIONS", "readable_tags"]

_NO_KEY = "FOREIGN KEY constraint failed"


def readable_tags(call: Call, tags: Sequence[Tag]) -> list[Tag]:
    """Those that the caller may see."""
    return [t for t in tags if not call.release.tag_scopes or call.who.may_read(t.scope)]


def create_tag(call: Call, arguments: Mapping[str, Any]) -> Tag:
    """A tag of its own, on no job yet."""
    scope = arguments.get("scope", "global")
    if call.release.tag_scopes and not may_label_by_graphql(call.who, scope):
        raise _worded(call, f"not authorized to create tag with scope: {scope}")
    if call.backend.tags.find(arguments["type"], arguments["name"]) is not None:
        raise FieldError(TAKEN)
    return call.backend.changes.create_tag(arguments["type"], arguments["name"], scope)


def add_tags(call: Call, arguments: Mapping[str, Any]) -> list[Tag]:
    """Tags onto a job; answers all that it has then."""
    db_id = _number(arguments["job"])
    shown: list[Tag] = []
    for text in arguments["tagIds"]:
        tag = _tag(call, _number(text), "add")
        job = _job(call, db_id)
        if job is None or tag is None:
            raise FieldError(NO_ROWS if call.release.tag_scopes else _NO_KEY)
        shown = readable_tags(call, _done(put_on, call, job, tag).tags)
    return shown


def remove_tags(call: Call, arguments: Mapping[str, Any]) -> list[Tag]:
    """Tags off a job; answers those that it has left."""
    db_id = _number(arguments["job"])
    shown: list[Tag] = []
    for text in arguments["tagIds"]:
        tag = _tag(call, _number(text), "remove")
        job = _job(call, db_id)
        if job is None:
            raise FieldError(NO_ROWS)
        left = job if tag is None else _done(take_off, call, job, tag)
        shown = readable_tags(call, left.tags)
    return shown


def remove_from_list(call: Call, arguments: Mapping[str, Any]) -> list[int]:
    """Tags out of the site; answers their ids."""
    gone = []
    for text in arguments["tagIds"]:
        number = _number(text)
        tag = _existing(call, number)
        if tag.scope != call.who.subject and not call.who.has("admin"):
            raise _worded(call, f"not authorized to remove tag: {number}")
        if tag.scope not in {"global", "admin", call.who.subject}:
            raise _worded(call, f"not authorized to remove tag: {number}")
        call.backend.changes.drop_tag(tag)
        gone.append(number)
    return gone


def delete_tag(_call: Call, _arguments: Mapping[str, Any]) -> None:
    """Declared, and implemented nowhere."""
    raise FieldError("MAIN > Panic caused by: not implemented: DeleteTag - deleteTag")


def update_configuration(_call: Call, _arguments: Mapping[str, Any]) -> None:
    """A setting of the web interface, which the simulator does not have."""


MUTATIONS: dict[str, Callable[[Call, Mapping[str, Any]], object]] = {
    "createTag": create_tag,
    "deleteTag": delete_tag,
    "addTagsToJob": add_tags,
    "removeTagsFromJob": remove_tags,
    "removeTagFromList": remove_from_list,
    "updateConfiguration": update_configuration,
}


def _number(text: object) -> int:
    try:
        return parse_int(str(text))
    except GoError as bad:
        raise FieldError(str(bad)) from bad


def _tag(call: Call, number: int, doing: str) -> Tag | None:
    """The tag of this id, if this caller may use it; up to 1.3 nobody looks whether there is one."""
    if not call.release.tag_scopes:
        return call.backend.tags.get(number)
    tag = _existing(call, number)
    if not may_label_by_graphql(call.who, tag.scope):
        raise _worded(call, f"not authorized to {doing} tag: {number}")
    return tag


def _existing(call: Call, number: int) -> Tag:
    tag = call.backend.tags.get(number)
    if tag is None:
        raise _worded(call, f"tag does not exist (ID): {number}")
    return tag


def _job(call: Call, db_id: int) -> Job | None:
    return call.backend.visible_job(call.who, db_id)


def _done(act: Callable[..., Job], call: Call, job: Job, tag: Tag) -> Job:
    try:
        return act(call.backend, job, tag)
    except LabelError as failed:
        raise FieldError(str(failed)) from failed


def _worded(call: Call, text: str) -> FieldError:
    return FieldError(text[0].upper() + text[1:] if call.release.capital_errors else text)
