"""Files of secrets: read where the gateway alone can read and alter them."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ccgateway.errors import SettingsError
from ccgateway.identity.ed25519 import read_public_key
from ccgateway.settings import load_settings
from ccgateway.site.credentials.table import TokenTable
from settings.texts import CANARY, Load, site


def test_files_of_identities_are_beside_the_settings_and_secrets_in_the_environment(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCGATEWAY_EXCHANGE__CLIENT_SECRET", CANARY)
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__SIGNING_KEY", CANARY)
    monkeypatch.setenv("CCGATEWAY_ISSUERS__MY_SSO__LEEWAY", "5")
    text = '[issuers.my-sso]\nkey_file = "sso.pub"\n[identities]\ntable = "people.toml"\n[exchange]\nca_file = "ca.pem"\n'
    settings = load(text + site('token_file = "t"'))
    issuer = settings.issuers["my-sso"]
    assert (issuer.name, issuer.key_file, issuer.leeway) == ("my-sso", tmp_path / "sso.pub", 5)
    assert (settings.identities.table, settings.exchange.ca_file) == (tmp_path / "people.toml", tmp_path / "ca.pem")
    assert "canary" not in repr(settings) + settings.model_dump_json()


def place(tmp_path: Path, kind: str, name: str) -> Callable[[], object]:
    """What reads that file when the gateway starts."""
    path = tmp_path / name
    match kind:
        case "token_file" | "signing_key_file":
            loaded = load_settings(tmp_path / "ccgateway.toml").sites["aurora"]
            return loaded.read_token if kind == "token_file" else loaded.private_key().read
        case "client_secret_file":
            return load_settings(tmp_path / "ccgateway.toml").exchange.secret().read
        case "redis_url_file":
            return load_settings(tmp_path / "ccgateway.toml").cache.read_redis_url
        case "key_file":
            return lambda: read_public_key(path, "issuers.x.key_file")
        case _:
            return lambda: TokenTable(path)


SECRET_FILES = {
    "token_file": site('token_file = "secret"'),
    "signing_key_file": site('signing_key_file = "secret"'),
    "client_secret_file": '[exchange]\nurl = "https://x.example.org"\nclient_id = "x"\nclient_secret_file = "secret"',
    "redis_url_file": '[cache]\nredis_url_file = "secret"',
    "table": "",
    "key_file": "",
}


PUBLIC = base64.b64encode(bytes(range(32))).decode()


def write_secret(tmp_path: Path, kind: str, mode: int = 0o600) -> Path:
    (tmp_path / "ccgateway.toml").write_text(SECRET_FILES[kind])
    path = tmp_path / "secret"
    path.write_text(PUBLIC if kind != "table" else "")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440], ids=oct)
@pytest.mark.parametrize("kind", SECRET_FILES)
def test_a_file_for_the_gateway_alone_is_read(tmp_path: Path, kind: str, mode: int) -> None:
    write_secret(tmp_path, kind, mode)
    place(tmp_path, kind, "secret")()


@pytest.mark.parametrize("mode", [0o660, 0o620, 0o602, 0o644, 0o604, 0o666, 0o606], ids=oct)
@pytest.mark.parametrize("kind", SECRET_FILES)
def test_a_secret_that_others_can_read_or_alter_is_refused(tmp_path: Path, kind: str, mode: int) -> None:
    write_secret(tmp_path, kind, mode)
    read = place(tmp_path, kind, "secret")
    if kind == "key_file" and mode in (0o644, 0o604):  # public
        read()
        return
    with pytest.raises(SettingsError) as refused:
        read()
    assert refused.value.key.endswith(kind) and PUBLIC not in str(refused.value)


@pytest.mark.parametrize("kind", SECRET_FILES)
def test_a_secret_in_a_file_of_another_user_is_refused(tmp_path: Path, kind: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to somebody else")
    os.chown(write_secret(tmp_path, kind), 4242, -1)
    with pytest.raises(SettingsError, match="another user"):
        place(tmp_path, kind, "secret")()


@pytest.mark.parametrize("kind", SECRET_FILES)
def test_a_secret_in_a_folder_where_others_can_replace_it_is_refused(tmp_path: Path, kind: str) -> None:
    write_secret(tmp_path, kind)
    read = place(tmp_path, kind, "secret")
    tmp_path.chmod(0o777)
    with pytest.raises(SettingsError, match="in its place"):
        read()
    tmp_path.chmod(0o1777)  # as /tmp: nobody can take away what is not theirs
    read()


def test_a_secret_is_looked_at_where_its_link_leads(tmp_path: Path) -> None:
    path = write_secret(tmp_path, "token_file")
    path.rename(tmp_path / "real")
    path.symlink_to("real")
    assert place(tmp_path, "token_file", "secret")() is not None
    (tmp_path / "real").chmod(0o644)
    with pytest.raises(SettingsError, match="read by everybody"):
        place(tmp_path, "token_file", "secret")()
