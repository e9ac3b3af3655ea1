import datetime

from ccgateway.v1 import cluster_pb2 as _cluster_pb2
from ccgateway.v1 import job_pb2 as _job_pb2
from ccgateway.v1 import report_pb2 as _report_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListSitesRequest(_message.Message):
    __slots__ = ("sites", "page_size", "page_token")
    SITES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sites: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, sites: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSitesResponse(_message.Message):
    __slots__ = ("sites", "next_page_token")
    SITES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sites: _containers.RepeatedCompositeFieldContainer[Site]
    next_page_token: str
    def __init__(self, sites: _Optional[_Iterable[_Union[Site, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Site(_message.Message):
    __slots__ = ("name", "number", "release", "configured_release", "required", "reachable", "since", "elapsed_seconds", "last_error", "last_error_time", "capabilities", "same_as")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURED_RELEASE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_TIME_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    SAME_AS_FIELD_NUMBER: _ClassVar[int]
    name: str
    number: int
    release: str
    configured_release: str
    required: bool
    reachable: bool
    since: _timestamp_pb2.Timestamp
    elapsed_seconds: float
    last_error: _report_pb2.Error
    last_error_time: _timestamp_pb2.Timestamp
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    same_as: str
    def __init__(self, name: _Optional[str] = ..., number: _Optional[int] = ..., release: _Optional[str] = ..., configured_release: _Optional[str] = ..., required: _Optional[bool] = ..., reachable: _Optional[bool] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., elapsed_seconds: _Optional[float] = ..., last_error: _Optional[_Union[_report_pb2.Error, _Mapping]] = ..., last_error_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., capabilities: _Optional[_Iterable[str]] = ..., same_as: _Optional[str] = ...) -> None: ...

class ListClustersRequest(_message.Message):
    __slots__ = ("sites", "policy", "read_mask", "page_size", "page_token")
    SITES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sites: _containers.RepeatedScalarFieldContainer[str]
    policy: _report_pb2.Policy
    read_mask: _field_mask_pb2.FieldMask
    page_size: int
    page_token: str
    def __init__(self, sites: _Optional[_Iterable[str]] = ..., policy: _Optional[_Union[_report_pb2.Policy, str]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListClustersResponse(_message.Message):
    __slots__ = ("clusters", "next_page_token", "unreachable", "site_reports")
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedCompositeFieldContainer[_cluster_pb2.Cluster]
    next_page_token: str
    unreachable: _containers.RepeatedScalarFieldContainer[str]
    site_reports: _containers.RepeatedCompositeFieldContainer[_report_pb2.SiteReport]
    def __init__(self, clusters: _Optional[_Iterable[_Union[_cluster_pb2.Cluster, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., unreachable: _Optional[_Iterable[str]] = ..., site_reports: _Optional[_Iterable[_Union[_report_pb2.SiteReport, _Mapping]]] = ...) -> None: ...

class ListUsersRequest(_message.Message):
    __slots__ = ("sites", "policy", "page_size", "page_token")
    SITES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sites: _containers.RepeatedScalarFieldContainer[str]
    policy: _report_pb2.Policy
    page_size: int
    page_token: str
    def __init__(self, sites: _Optional[_Iterable[str]] = ..., policy: _Optional[_Union[_report_pb2.Policy, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListUsersResponse(_message.Message):
    __slots__ = ("users", "next_page_token", "unreachable", "site_reports")
    USERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    next_page_token: str
    unreachable: _containers.RepeatedScalarFieldContainer[str]
    site_reports: _containers.RepeatedCompositeFieldContainer[_report_pb2.SiteReport]
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., unreachable: _Optional[_Iterable[str]] = ..., site_reports: _Optional[_Iterable[_Union[_report_pb2.SiteReport, _Mapping]]] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("site", "username", "name", "email", "roles", "projects")
    SITE_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    site: str
    username: str
    name: str
    email: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    projects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, site: _Optional[str] = ..., username: _Optional[str] = ..., name: _Optional[str] = ..., email: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., projects: _Optional[_Iterable[str]] = ...) -> None: ...

class ListTagsRequest(_message.Message):
    __slots__ = ("sites", "policy", "page_size", "page_token")
    SITES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sites: _containers.RepeatedScalarFieldContainer[str]
    policy: _report_pb2.Policy
    page_size: int
    page_token: str
    def __init__(self, sites: _Optional[_Iterable[str]] = ..., policy: _Optional[_Union[_report_pb2.Policy, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTagsResponse(_message.Message):
    __slots__ = ("tags", "next_page_token", "unreachable", "site_reports")
    TAGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    SITE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedCompositeFieldContainer[SiteTag]
    next_page_token: str
    unreachable: _containers.RepeatedScalarFieldContainer[str]
    site_reports: _containers.RepeatedCompositeFieldContainer[_report_pb2.SiteReport]
    def __init__(self, tags: _Optional[_Iterable[_Union[SiteTag, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., unreachable: _Optional[_Iterable[str]] = ..., site_reports: _Optional[_Iterable[_Union[_report_pb2.SiteReport, _Mapping]]] = ...) -> None: ...

class SiteTag(_message.Message):
    __slots__ = ("tag", "sites")
    TAG_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    tag: _job_pb2.Tag
    sites: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tag: _Optional[_Union[_job_pb2.Tag, _Mapping]] = ..., sites: _Optional[_Iterable[str]] = ...) -> None: ...
