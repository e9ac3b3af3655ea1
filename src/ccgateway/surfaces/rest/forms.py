"""Bodies that are forms, urlencoded or in parts, as cc-backend up to 1.3 reads them."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from urllib.parse import parse_qsl

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.writes import MOST_PASSWORD, CreateUser, DeleteUser
from ccgateway.surfaces.rest.calls import Call
from ccgateway.surfaces.rest.endpoints import Schema

__all__ = ["FORMS", "NEW_USER", "form_in", "is_form", "read_deleted_user", "read_new_user"]

#: the media types of forms
URLENCODED, MULTIPART = FORMS = "application/x-www-form-urlencoded", "multipart/form-data"
#: bytes of a form: of a user's few fields, none is long
MOST_FORM = 64 << 10
#: semicolons in a form in parts: between two of them the library looks at all that came before
MOST_PARAMETERS = 200
#: a form with these fields
NEW_USER: Schema = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "minLength": 1},
        "password": {"type": "string", "format": "password", "maxLength": MOST_PASSWORD},
        "role": {"type": "string", "examples": ["user"]},
        "name": {"type": "string"},
        "email": {"type": "string"},
        "project": {"type": "string", "description": "Of a manager, who needs one."},
    },
    "required": ["username"],
}


def is_form(call: Call) -> bool:
    """Whether the body says that it is a form; what begins as a JSON object is none, whatever curl calls it."""
    kind = _kind(call)
    return kind == MULTIPART or (kind == URLENCODED and not call.body.startswith(b"{"))


def form_in(call: Call) -> dict[str, str]:
    """The fields of the body, if it is a form; of one that comes twice, the first counts. ``BODY_TOO_LARGE`` beyond
    ``MOST_FORM``, ``BAD_REQUEST`` for what cannot be read."""
    if not is_form(call):
        return {}
    if len(call.body) > MOST_FORM:
        raise RequestError(Code.BODY_TOO_LARGE, f"The form is larger than {MOST_FORM} bytes.")
    if _kind(call) == MULTIPART:
        return _parts(call.body, call.headers["content-type"])
    pairs = parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(reversed(pairs))


def _kind(call: Call) -> str:
    return call.headers.get("content-type", "").partition(";")[0].strip().lower()


def _parts(body: bytes, content_type: str) -> dict[str, str]:
    if body.count(b";") + content_type.count(";") > MOST_PARAMETERS:
        raise RequestError(Code.BAD_REQUEST, f"The form has more than {MOST_PARAMETERS} semicolons. Send it urlencoded.")
    whole = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body
    try:
        parts = BytesParser(policy=compat32).parsebytes(whole).get_payload()
    except RecursionError:  # parts within parts within parts
        parts = None
    if not isinstance(parts, list):
        raise RequestError(Code.BAD_REQUEST, "The body cannot be read as a form in parts (multipart/form-data).")
    found: dict[str, str] = {}
    for part in parts:
        if not isinstance(part, Message):
            continue
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found.setdefault(_text(name), content.decode("utf-8", "replace"))
    return found


def _text(name: str) -> str:
    """A name as it was sent: the parser keeps bytes beyond ASCII as surrogates."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _values(call: Call) -> Mapping[str, str]:
    """Fields of the body, and behind them those of the query."""
    return {**dict(reversed(call.query.pairs)), **form_in(call)}


def read_new_user(call: Call) -> CreateUser:
    """A user to be created. Raises ``BAD_REQUEST`` for what cannot be one, and for a password in the query."""
    if call.query.first("password") is not None:
        message = "A password does not belong into the query, which is written to logs: send it in the body, as a form."
        raise RequestError(Code.BAD_REQUEST, message)
    values = _values(call)
    return CreateUser(
        user=values.get("username", ""),
        password=values.get("password", ""),
        role=values.get("role", ""),
        name=values.get("name", ""),
        email=values.get("email", ""),
        project=values.get("project", ""),
        sites=call.named_sites,
    )


def read_deleted_user(call: Call) -> DeleteUser:
    """The user who is to go. Raises ``BAD_REQUEST`` if none is named."""
    return DeleteUser(user=_values(call).get("username", ""), sites=call.named_sites)
