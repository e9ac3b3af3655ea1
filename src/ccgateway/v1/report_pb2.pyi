from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Policy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_UNSPECIFIED: _ClassVar[Policy]
    POLICY_PARTIAL: _ClassVar[Policy]
    POLICY_STRICT: _ClassVar[Policy]

class SiteStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SITE_STATUS_UNSPECIFIED: _ClassVar[SiteStatus]
    SITE_STATUS_OK: _ClassVar[SiteStatus]
    SITE_STATUS_PARTIAL: _ClassVar[SiteStatus]
    SITE_STATUS_FAILED: _ClassVar[SiteStatus]
    SITE_STATUS_SKIPPED: _ClassVar[SiteStatus]
POLICY_UNSPECIFIED: Policy
POLICY_PARTIAL: Policy
POLICY_STRICT: Policy
SITE_STATUS_UNSPECIFIED: SiteStatus
SITE_STATUS_OK: SiteStatus
SITE_STATUS_PARTIAL: SiteStatus
SITE_STATUS_FAILED: SiteStatus
SITE_STATUS_SKIPPED: SiteStatus

class SiteReport(_message.Message):
    __slots__ = ("site", "number", "status", "code", "message", "retryable", "elapsed_seconds", "calls", "scanned", "returned", "cache_age_seconds", "notes", "retry_after_seconds")
    SITE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    SCANNED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    CACHE_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    site: str
    number: int
    status: SiteStatus
    code: str
    message: str
    retryable: bool
    elapsed_seconds: float
    calls: int
    scanned: int
    returned: int
    cache_age_seconds: float
    notes: _containers.RepeatedScalarFieldContainer[str]
    retry_after_seconds: int
    def __init__(self, site: _Optional[str] = ..., number: _Optional[int] = ..., status: _Optional[_Union[SiteStatus, str]] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ..., elapsed_seconds: _Optional[float] = ..., calls: _Optional[int] = ..., scanned: _Optional[int] = ..., returned: _Optional[int] = ..., cache_age_seconds: _Optional[float] = ..., notes: _Optional[_Iterable[str]] = ..., retry_after_seconds: _Optional[int] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "site", "retryable")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    site: str
    retryable: bool
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., site: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class SiteErrors(_message.Message):
    __slots__ = ("errors",)
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    errors: _containers.RepeatedCompositeFieldContainer[Error]
    def __init__(self, errors: _Optional[_Iterable[_Union[Error, _Mapping]]] = ...) -> None: ...
