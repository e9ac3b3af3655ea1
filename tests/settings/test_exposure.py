"""What other machines can reach must be asked for, or ask who calls."""

from __future__ import annotations

import pytest

from ccgateway.errors import SettingsError
from settings.texts import API_KEY, Load, refusal


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_loopback_may_be_served_without_authentication(load: Load, host: str) -> None:
    load(f'[server]\nhost = "{host}"').check_exposure()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "cc.example.org", "localhost.example.org", "127.0.0.1.example.org"]
)
def test_any_other_address_must_be_asked_for_aloud(load: Load, host: str) -> None:
    with pytest.raises(SettingsError, match=r"server\.host.*serve_unauthenticated"):
        load(f'[server]\nhost = "{host}"').check_exposure()
    load(f'[server]\nhost = "{host}"\nserve_unauthenticated = true').check_exposure()


def test_an_empty_host_is_not_every_address(load: Load) -> None:
    assert refusal(load, '[server]\nhost = ""').key == "server.host"


def test_an_address_for_all_may_be_served_where_callers_must_say_who_they_are(load: Load) -> None:
    public = '[server]\nhost = "0.0.0.0"\n'
    for callers in ('[issuers.sso]\nkey_file = "k"', API_KEY):
        assert load(public + callers).authenticates
        load(public + callers).check_exposure()
        with pytest.raises(SettingsError, match=r"server\.host"):
            load(f'{public}[caller]\nanonymous = true\nroles = ["user"]\n{callers}').check_exposure()


ANONYMOUS = f'{API_KEY}\n[caller]\nanonymous = true\nroles = ["user"]\n'


@pytest.mark.parametrize("callers", ["", ANONYMOUS], ids=["nobody", "anonymous"])
def test_pages_of_any_origin_are_refused_where_callers_need_no_token(load: Load, callers: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(f'{callers}\n[server]\ncors_origins = ["*"]').check_exposure()
    assert refused.value.key == "server.cors_origins"


def test_pages_of_any_origin_may_ask_where_callers_show_tokens(load: Load) -> None:
    load(f'{API_KEY}\n[server]\ncors_origins = ["*"]').check_exposure()
    load('[server]\ncors_origins = ["https://portal.example.org"]').check_exposure()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[server]\nport = 9000\n[grpc]\nport = 9000", "grpc.port"), ("[metrics]\nport = 8080", "metrics.port"),
        ("[grpc]\nport = 9464\n[metrics]\nport = 9464", "metrics.port"),
    ],
)  # fmt: skip
def test_two_servers_do_not_have_one_port(load: Load, text: str, key: str) -> None:
    with pytest.raises(SettingsError, match="is the port of") as refused:
        load(text)
    assert refused.value.key == key


@pytest.mark.parametrize(
    "text",
    ["[server]\nport = 0\n[grpc]\nport = 0\n[metrics]\nport = 0", '[server]\nunix_socket = "/run/x"\n[grpc]\nport = 8080'],
)
def test_free_ports_and_sockets_are_apart(load: Load, text: str) -> None:
    load(text)
