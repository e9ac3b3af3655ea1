"""``[sites.NAME]``: the instances of cc-backend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ccgateway.settings.base import Seconds, is_loopback
from ccgateway.settings.identities import SiteIdentitySettings

__all__ = ["SITE_NAME", "Reads", "Release", "SiteSettings"]

Release = Literal["auto", "1.2", "1.3", "1.4", "1.5", "howto"]

#: how a site's jobs are read
Reads = Literal["auto", "query", "rest"]

SITE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class SiteSettings(SiteIdentitySettings):
    """``[sites.<name>]``: one cc-backend instance."""

    number: int = Field(ge=1, le=999, description="The site's number in integer job ids; never re-use one.")
    url: str = Field(description="Base URL of the instance, e.g. https://cc.example.org.")
    page_url: str | None = Field(
        None,
        description="Base URL of the site's own pages as browsers have it, to which the portal links jobs; `url` if left out, "
        'unless that is on this machine; "" for no links.',
    )
    release: Release = Field("auto", description="Release of cc-backend there; auto finds out.")
    required: bool = Field(default=False, description="Refuse an answer rather than give it without this site.")
    timeout: Seconds = Field(10.0, description="Seconds the site may take for its part of one request.")
    connect_timeout: Seconds = Field(3.0, description="Seconds for a connection to open.")
    concurrency: int = Field(8, ge=1, le=256, description="Requests to the site at any one time.")
    retries: int = Field(2, ge=0, le=10, description="How often a safe read is tried again.")
    answer_bytes: int = Field(64 << 20, ge=4096, description="Largest answer accepted from the site, in bytes, unpacked.")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the site's certificate.")
    reads: Reads = Field(
        "auto",
        description="How jobs are read: auto asks the site's own GraphQL (POST /query) for filters, counts and orders that REST "
        "does not have, and for large pages; query asks it for whatever it can answer; rest never does.",
    )
    read_only: bool = Field(default=False, description="Let nothing be written at the site.")
    tags_by_query: bool = Field(
        default=True, description="Use the site's own GraphQL for what its REST interface cannot do to tags (and to list them)."
    )
    clusters: tuple[str, ...] | None = Field(
        None, description="Names of the site's clusters, for writes that name a cluster only; asked of the site if left out."
    )
    same_as: str | None = Field(
        None,
        description="Name of the site that is one and the same instance under another address; jobs of both are listed once.",
    )

    @field_validator("url")
    @classmethod
    def _plain_base_url(cls, value: str) -> str:
        found = re.fullmatch(r"(https?)://([^/?#\s@]+)(/[^?#\s]*)?", value)
        if not found:
            raise ValueError("needs the form http(s)://host[:port][/path] without user, query or fragment")
        try:
            split = urlsplit(value)
            is_proper = split.port != 0 and bool(split.hostname)
        except ValueError:
            is_proper = False
        if not is_proper:
            raise ValueError("has no proper host or port")
        return value.rstrip("/")

    @field_validator("page_url")
    @classmethod
    def _plain_page_url(cls, value: str | None) -> str | None:
        return cls._plain_base_url(value) if value else value

    @property
    def page(self) -> str | None:
        """Where people find the site's own pages, if that is known and they are to."""
        if self.page_url is not None:
            return self.page_url or None
        return None if is_loopback(urlsplit(self.url).hostname or "") else self.url
