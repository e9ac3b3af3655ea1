"""A site: its address, and how its names are made of callers'."""

from __future__ import annotations

import pytest

from settings.texts import Load, refusal, site


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "https://[::1]:8443/x", "http://127.0.0.1/a/b/", "https://cc.example.org/@x"]
)
def test_a_base_url_may_have_port_and_path(load: Load, url: str) -> None:
    assert load(site(url=f'"{url}"')).sites["aurora"].url == url.rstrip("/")


@pytest.mark.parametrize("url", ["http://:8080", "http://h:0", "http://h:x", "http://h:99999", "https://[::1"])
def test_a_base_url_without_a_proper_host_and_port_is_refused(load: Load, url: str) -> None:
    assert refusal(load, site(url=f'"{url}"')).key == "sites.aurora.url"


@pytest.mark.parametrize("template", [r"\\g<nope>", r"\\2", r"\\g<2>", r"\\g<", r"\\g<1", r"\\q", "\\\\", r"\\g<-1>"])
def test_a_name_template_that_does_not_fit_its_pattern_is_refused(load: Load, template: str) -> None:
    error = refusal(load, site(f'name_pattern = "(.+)"\nname_template = "{template}"'))
    assert "name_template" in error.message


@pytest.mark.parametrize("template", [r"\\g<who>", r"\\1", r"hpc_\\g<1>", "fixed"])
def test_a_name_template_that_fits_is_taken(load: Load, template: str) -> None:
    load(site(f'name_pattern = "(?P<who>.+)"\nname_template = "{template}"'))


@pytest.mark.parametrize(
    ("url", "page_url", "page"),
    [
        ("https://cc.example.org/base", None, "https://cc.example.org/base"),
        ("http://127.0.0.1:8080", None, None),
        ("http://localhost:8080", None, None),
        ("http://10.0.0.3:8080", "https://cc.example.org/", "https://cc.example.org"),
        ("https://cc.example.org", "", None),
    ],
)
def test_a_sites_own_pages_are_where_browsers_reach_them(load: Load, url: str, page_url: str | None, page: str | None) -> None:
    extra = "" if page_url is None else f'page_url = "{page_url}"'
    assert load(site(extra, url=f'"{url}"')).sites["aurora"].page == page


@pytest.mark.parametrize("page_url", ["javascript:alert(1)", "https://user:pass@cc.example.org", "https://h/?token=x", "//h"])
def test_an_address_of_pages_that_is_none_is_refused_and_not_repeated(load: Load, page_url: str) -> None:
    error = refusal(load, site(f'page_url = "{page_url}"'))
    assert error.key == "sites.aurora.page_url" and "pass" not in str(error).replace("password", "")
