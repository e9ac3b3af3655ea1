"""Settings: every refusal names the key, what is wrong and the remedy; secrets show nowhere."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ccgateway.errors import Code, SettingsError
from ccgateway.federation.audit import audit_to_file, close_audit_file
from ccgateway.identity.keys import read_public_key
from ccgateway.settings import _MODELS, LimitSettings, Settings, load_settings
from ccgateway.site.credentials.table import TokenTable
from ccgateway.telemetry import Troubles

CANARY = "eyJhbGciOiJFZERTQSJ9.canary-payload-canary.canary-signature-canary"

GOOD = """
[sites.aurora]
number = 1
url = "https://cc.example.org/base/"
"""

API_KEY = f'[api_keys.slurm]\nhash = "sha256:{"0" * 64}"\nsubject = "x"\nroles = ["api"]'

Load = Callable[..., Settings]


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.upper().startswith("CCGATEWAY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def from_text(text: str | bytes = GOOD) -> Settings:
        path = tmp_path / "ccgateway.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings(path)

    return from_text


def refusal(load: Load, text: str | bytes) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        load(text)
    error = refused.value
    assert error.code is Code.SETTINGS
    assert error.key
    assert error.problem
    assert len(error.remedy) > 5
    assert error.message == f"{error.key}: {error.problem}. {error.remedy}"
    assert CANARY not in error.message + repr(error)
    return error


def site(extra: str = "", *, name: str = "aurora", number: str = "1", url: str = '"https://cc.example.org"') -> str:
    return f"[sites.{name}]\nnumber = {number}\nurl = {url}\n{extra}\n"


# --- good files


def test_a_small_file_is_enough(load: Load) -> None:
    settings = load()
    aurora = settings.sites["aurora"]
    assert (aurora.name, aurora.number, aurora.url, aurora.release) == ("aurora", 1, "https://cc.example.org/base", "auto")
    assert aurora.read_token() is None
    assert settings.server.host == "127.0.0.1"
    assert settings.limits == LimitSettings.model_validate({})


def test_no_file_at_all_is_defaults() -> None:
    assert load_settings(None).sites == {}


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "https://[::1]:8443/x", "http://127.0.0.1/a/b/", "https://cc.example.org/@x"]
)
def test_a_base_url_may_have_port_and_path(load: Load, url: str) -> None:
    assert load(site(url=f'"{url}"')).sites["aurora"].url == url.rstrip("/")


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


def test_settings_are_frozen(load: Load) -> None:
    settings = load()
    for target, name in [(settings, "sites"), (settings.server, "port"), (settings.sites["aurora"], "url")]:
        with pytest.raises(Exception, match="frozen"):
            setattr(target, name, None)


@pytest.mark.parametrize("model", _MODELS.values(), ids=_MODELS)
def test_every_setting_is_described(model: type[BaseModel]) -> None:
    undescribed = {name for name, field in model.model_fields.items() if not field.description}
    assert undescribed <= {"name"}  # a site's name is its section's


# --- bad files


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("[server]\nport = 70000", "server.port", "65535"),
        ("[server]\nport = -1", "server.port", "0"),
        ('[server]\nport = "many"', "server.port", "integer"),
        ("[server]\nprot = 80", "server.prot", "is not a setting"),
        ("[sevrer]\nport = 80", "sevrer", "is not a setting"),
        ("server = 5", "server", "dictionary"),
        ('[server]\nserve_unauthenticated = "perhaps"', "server.serve_unauthenticated", "bool"),
        ('[caller]\nsubject = ""', "caller.subject", "1 character"),
        ("[limits]\nrequest_timeout = 0", "limits.request_timeout", "greater than 0"),
        ("[limits]\nrequest_timeout = 4000", "limits.request_timeout", "3600"),
        ("[limits]\nrequest_timeout = nan", "limits.request_timeout", ""),
        ("[limits]\nrequest_timeout = inf", "limits.request_timeout", "3600"),
        ("[limits]\npatience = -1", "limits.patience", "0"),
        ("[limits]\npatience = nan", "limits.patience", ""),
        ("[limits]\nscan_budget = 0", "limits.scan_budget", "1"),
        ("[limits]\npage_jobs = 1.5", "limits.page_jobs", "integer"),
        (site(url='""'), "sites.aurora.url", "http(s)://"),
        (site(url='"cc.example.org"'), "sites.aurora.url", "http(s)://"),
        (site(url='"ftp://cc.example.org"'), "sites.aurora.url", "http(s)://"),
        (site(url='"https://"'), "sites.aurora.url", "http(s)://"),
        (site(url='"https://user:pass@cc.example.org"'), "sites.aurora.url", "without user"),
        (site(url='"https://cc.example.org?x=1"'), "sites.aurora.url", "query"),
        (site(url='"https://cc.example.org/#x"'), "sites.aurora.url", "fragment"),
        (site(url='"https://cc.example.org/a b"'), "sites.aurora.url", "http(s)://"),
        (site(url='"https://cc.example.org:port"'), "sites.aurora.url", ""),
        (site(url='"https://cc.example.org:99999"'), "sites.aurora.url", ""),
        (site(url="5"), "sites.aurora.url", "string"),
        (site(number="0"), "sites.aurora.number", "1"),
        (site(number="1000"), "sites.aurora.number", "999"),
        (site(number='"first"'), "sites.aurora.number", "integer"),
        ('[sites.aurora]\nurl = "https://x"', "sites.aurora.number", "is missing"),
        ("[sites.aurora]\nnumber = 1", "sites.aurora.url", "is missing"),
        (site('release = "1.6"'), "sites.aurora.release", "1.5"),
        (site("release = 1.5"), "sites.aurora.release", "1.5"),
        (site("timeout = 0"), "sites.aurora.timeout", "greater than 0"),
        (site("concurrency = 0"), "sites.aurora.concurrency", "1"),
        (site("retries = 11"), "sites.aurora.retries", "10"),
        (site("answer_bytes = 1"), "sites.aurora.answer_bytes", "4096"),
        (site("tokn_file = 'x'"), "sites.aurora.tokn_file", "is not a setting"),
        (site(f'token = "{CANARY}"'), "sites.aurora.token", "secret"),
        (site(f'tokne = "{CANARY}"'), "sites.aurora.tokne", "is not a setting"),
        (site() + site(name="borealis"), "sites.borealis.number", "already the number of site aurora"),
        (site(name='"Aurora"'), "sites.Aurora", "site name"),
        (site(name='"-x"'), "sites.-x", "site name"),
        (site(name='"a--b"'), "sites.a--b", "site name"),
        (site(name='"a-"'), "sites.a-", "site name"),
        (site(name="a_b"), "sites.a_b", "site name"),
        (site(name="a-b") + site(name="a_b", number="2"), "sites.a_b", "site name"),
        (site(name='"a.b"'), "sites.a.b", "site name"),
        (site(name='"a:b"'), "sites.a:b", "site name"),
        (site(name='"größe"'), "sites.größe", "site name"),
        (site(name='""'), "sites.", "site name"),
        ("[sites]\naurora = 5", "sites.aurora", ""),
        ("sites = 5", "sites", "dictionary"),
        (site("token_file = 5"), "sites.aurora.token_file", ""),
        (site('token_file = "~nosuchuser/token"'), "sites.aurora.token_file", ""),
        (site(f'signing_key = "{CANARY}"'), "sites.aurora.signing_key", "secret"),
        (site("signed_for = 10"), "sites.aurora.signed_for", "120"),
        (
            site('signing_key_file = "k"\nsigned_for = 120') + "[limits]\nrequest_timeout = 61",
            "sites.aurora.signed_for",
            "request",
        ),
        (site('name_pattern = "("'), "sites.aurora", "regular expression"),
        (site('name_pattern = "(.+)"\nname_template = "\\\\2"'), "sites.aurora", "group"),
        (site('roles = {root = "admin"}'), "sites.aurora.roles.root.[key]", "'admin'"),
        (site('exchange_audience = "aurora"'), "sites.aurora.exchange_audience", "exchange.url"),
        (f'[exchange]\nclient_secret = "{CANARY}"', "exchange.client_secret", "secret"),
        ('[exchange]\nurl = "http://sts.example.org/token"', "exchange.url", "https"),
        ('[exchange]\nurl = "https://user@sts.example.org/token"', "exchange.url", "without user"),
        ("[issuers.sso]", "issuers.sso", "either jwks_url or key_file"),
        ('[issuers.sso]\nkey_file = "k"\njwks_url = "https://x/y"', "issuers.sso", "either jwks_url or key_file"),
        ('[issuers.sso]\njwks_url = "https://sso.example.org/certs"', "issuers.sso", "issuer and audience"),
        ('[issuers.sso]\njwks_url = "https://x/y"\nissuer = "i"', "issuers.sso", "issuer and audience"),
        ('[issuers.sso]\njwks_url = "http://sso.example.org/certs"', "issuers.sso.jwks_url", "https"),
        ('[issuers.sso]\nkey_file = "k"\nalgorithms = ["HS256"]', "issuers.sso.algorithms.0", "'EdDSA'"),
        ('[issuers.sso]\nkey_file = "k"\nalgorithms = ["none"]', "issuers.sso.algorithms.0", "'EdDSA'"),
        ('[issuers.sso]\nkey_file = "k"\nalgorithms = []', "issuers.sso.algorithms", "1 item"),
        ('[issuers.sso]\nkey_file = "k"\nroles = {staff = "root"}', "issuers.sso.roles.staff", "'admin'"),
        ('[issuers.sso]\nkey_file = "k"\ndefault_role = "root"', "issuers.sso.default_role", ""),
        ('[issuers.sso]\nkey_file = "k"\nleeway = 3600', "issuers.sso.leeway", "300"),
        ('[issuers.sso]\nkey_file = "k"\nprefix = "a b"', "issuers.sso.prefix", ""),
        ('[issuers.sso]\nkey_file = "k"\nsite_names = {nowhere = "uid"}', "issuers.sso.site_names", "no site nowhere"),
        ('[issuers.Sso]\nkey_file = "k"', "issuers.Sso", "name"),
        ('[issuers.a]\nkey_file = "k"\n[issuers.b]\nkey_file = "k"', "issuers.a.prefix", "missing"),
        (f'[issuers.a]\nkey_file = "k"\n{API_KEY}', "issuers.a.prefix", "missing"),
        (
            '[issuers.a]\nkey_file = "k"\nprefix = "x"\n[issuers.b]\nkey_file = "k"\nprefix = "xy"',
            "issuers.b.prefix",
            "begins as that of a",
        ),
        ('[api_keys.slurm]\nhash = "sha256:abc"\nsubject = "x"\nroles = ["api"]', "api_keys.slurm.hash", "pattern"),
        (f'[api_keys.slurm]\nhash = "{CANARY}"\nsubject = "x"\nroles = ["api"]', "api_keys.slurm.hash", "pattern"),
        (API_KEY.replace('"x"', '"a b"'), "api_keys.slurm.subject", ""),
        (API_KEY.replace('["api"]', "[]"), "api_keys.slurm.roles", "1 item"),
        ('[identities]\nservice_roles = ["root"]', "identities.service_roles.0", "'admin'"),
        ("[caller]\nanonymous = true", "caller.anonymous", "not said"),
        (f"[caller]\nanonymous = true\n{API_KEY}", "caller.anonymous", "not said"),
        ('[caller]\nanonymous = true\nroles = ["user"]', "caller.anonymous", "not said"),
    ],
)
def test_a_bad_value_is_refused_by_key_problem_and_remedy(load: Load, text: str, key: str, words: str) -> None:
    error = refusal(load, text)
    assert error.key == key
    assert words in error.problem or words in error.remedy


@pytest.mark.parametrize(
    "text", ["[server", "port = ", "[server]\nport = 1\nport = 2", b"\xff\xfe", "[sites.aurora]\n[sites.aurora]\n", b"a = '\x00'"]
)
def test_what_is_no_toml_is_refused_with_its_place(load: Load, text: str | bytes) -> None:
    error = refusal(load, text)
    assert "not valid TOML" in error.problem
    assert error.key.endswith("ccgateway.toml")


def test_a_secret_in_broken_toml_is_not_repeated(load: Load) -> None:
    refusal(load, site(f'token = "{CANARY}'))
    refusal(load, f"[sites.aurora]\n{CANARY}")


@pytest.mark.parametrize("kind", ["absent", "folder"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "nowhere.toml"
    with pytest.raises(SettingsError) as refused:
        load_settings(path)
    assert refused.value.key == str(path)


# --- the environment


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("CCGATEWAY_SERVER__PORT", "9000", lambda s: s.server.port == 9000),
        ("CCGATEWAY_SERVER__GRAPHIQL", "false", lambda s: s.server.graphiql is False),
        ("CCGATEWAY_CALLER__SUBJECT", "ops", lambda s: s.caller.subject == "ops"),
        ("CCGATEWAY_LIMITS__PATIENCE", "0.5", lambda s: s.limits.patience == 0.5),
        ("CCGATEWAY_SITES__AURORA__URL", "http://other", lambda s: s.sites["aurora"].url == "http://other"),
        ("CCGATEWAY_SITES__AURORA__NUMBER", "7", lambda s: s.sites["aurora"].number == 7),
        ("CCGATEWAY_SITES__AURORA__REQUIRED", "true", lambda s: s.sites["aurora"].required),
        ("CCGATEWAY_SITES__AURORA__TOKEN", CANARY, lambda s: s.sites["aurora"].read_token().get_secret_value() == CANARY),
    ],
)
def test_the_environment_is_stronger_than_the_file(
    load: Load, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, read: Callable[[Any], bool]
) -> None:
    monkeypatch.setenv(variable, value)
    text = site("required = false") + '[server]\nport = 1\ngraphiql = true\n[caller]\nsubject = "x"\n[limits]\npatience = 9\n'
    assert read(load(text))


def test_a_dash_in_a_sites_name_is_an_underscore_in_its_variables(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA_2_EAST__TOKEN", CANARY)
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA_2_EAST__URL", "http://other")
    sites = load(site(name="aurora-2-east")).sites
    assert list(sites) == ["aurora-2-east"]
    east = sites["aurora-2-east"]
    assert (east.name, east.number, east.url) == ("aurora-2-east", 1, "http://other")
    token = east.read_token()
    assert token is not None
    assert token.get_secret_value() == CANARY


def test_a_site_can_stand_in_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__URL", "http://x")
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__NUMBER", "3")
    assert load_settings(None).sites["aurora"].number == 3


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("CCGATEWAY_SERVER__PORT", "many", "server.port"),
        ("CCGATEWAY_SERVER__PROT", "80", "server.prot"),
        ("CCGATEWAY_LIMITS__PATIENCE", "soon", "limits.patience"),
        ("CCGATEWAY_SITES__AURORA__RELEASE", "9", "sites.aurora.release"),
        ("CCGATEWAY_SITES__BOREALIS__TOKEN", CANARY, "sites.borealis.number"),
        ("CCGATEWAY_SITES__AURORA__TOKEN_", CANARY, "sites.aurora.token_"),
        ("CCGATEWAY_SERVER", "8080", "server"),
        ("CCGATEWAY_SERVER", "{not json", "server"),
        ("CCGATEWAY_SITES", f"token={CANARY}", "sites"),
        ("CCGATEWAY_SITES", json.dumps({"aurora": {"token": CANARY, "number": 0}}), "sites.aurora.number"),
        ("CCGATEWAY_SITES", json.dumps([CANARY]), "sites"),
    ],
)
def test_a_bad_variable_is_refused_like_a_bad_file(
    load: Load, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, key: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert key in refusal(load, GOOD).key


# --- tokens


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "aurora.jwt"
    path.write_text(f"\n  {CANARY} \n")
    return path


def test_a_token_comes_from_a_file_beside_the_settings(load: Load, token_file: Path) -> None:
    token = load(site('token_file = "aurora.jwt"')).sites["aurora"].read_token()
    assert token is not None
    assert token.get_secret_value() == CANARY


def test_a_token_comes_from_a_named_variable(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURORA_JWT", CANARY)
    token = load(site('token_env = "AURORA_JWT"')).sites["aurora"].read_token()
    assert token is not None
    assert token.get_secret_value() == CANARY


@pytest.mark.parametrize(
    "text", [b"", b" \n", b"\xff\xfe", f"{CANARY}\n{CANARY}".encode(), f"Bearer {CANARY}".encode(), "tökén".encode()]
)
def test_a_file_without_one_token_is_refused(load: Load, token_file: Path, text: bytes) -> None:
    token_file.write_bytes(text)
    settings = load(site('token_file = "aurora.jwt"'))
    with pytest.raises(SettingsError) as refused:
        settings.sites["aurora"].read_token()
    assert refused.value.key == "sites.aurora.token_file"
    assert CANARY not in refused.value.message


@pytest.mark.parametrize("text", ["", " ", f"{CANARY} {CANARY}", f"Bearer {CANARY}", "tökén", f"{CANARY}\r\nX-Evil: 1"])
@pytest.mark.parametrize("where", ["token_env", "token"])
def test_a_variable_without_one_token_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch, where: str, text: str) -> None:
    monkeypatch.setenv("AURORA_JWT" if where == "token_env" else "CCGATEWAY_SITES__AURORA__TOKEN", text)
    settings = load(site('token_env = "AURORA_JWT"' if where == "token_env" else ""))
    with pytest.raises(SettingsError) as refused:
        settings.sites["aurora"].read_token()
    assert refused.value.key == f"sites.aurora.{where}"
    assert CANARY not in refused.value.message


def test_a_trailing_line_end_in_a_variable_is_no_part_of_the_token(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__TOKEN", f"{CANARY}\n")
    token = load().sites["aurora"].read_token()
    assert token is not None
    assert token.get_secret_value() == CANARY


@pytest.mark.parametrize(
    "extra", ['token_file = "nowhere"', r'token_file = "a\u0000b"', 'token_file = "."', 'token_env = "NOT_SET_ANYWHERE"']
)
def test_a_token_that_is_not_there_is_refused_by_key(load: Load, extra: str) -> None:
    settings = load(site(extra))
    with pytest.raises(SettingsError, match=r"sites\.aurora\.token_"):
        settings.sites["aurora"].read_token()


def test_a_token_shows_in_no_repr_and_no_dump(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGATEWAY_SITES__AURORA__TOKEN", CANARY)
    settings = load()
    for shown in (
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        str(settings.model_dump()),
        repr(settings.sites["aurora"]),
    ):
        assert "canary" not in shown


# --- exposure


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


def test_an_address_for_all_may_be_served_where_callers_must_say_who_they_are(load: Load) -> None:
    public = '[server]\nhost = "0.0.0.0"\n'
    for callers in ('[issuers.sso]\nkey_file = "k"', API_KEY):
        assert load(public + callers).authenticates
        load(public + callers).check_exposure()
        with pytest.raises(SettingsError, match=r"server\.host"):
            load(f'{public}[caller]\nanonymous = true\nroles = ["user"]\n{callers}').check_exposure()


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


def test_the_audit_file_is_relative_to_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "ccgateway.toml"
    path.write_text('[writes]\naudit_file = "logs/audit.log"\n')
    assert load_settings(path).writes.audit_file == tmp_path / "logs/audit.log"


def test_an_audit_file_that_cannot_be_written_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        audit_to_file(tmp_path / "nowhere" / "audit.log", Troubles())
    assert raised.value.key == "writes.audit_file"


# --- files of secrets, and what is believed


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


def test_the_audit_file_is_for_nobody_else(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        handler = audit_to_file(tmp_path / "audit.log", Troubles())
        close_audit_file(handler)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


@pytest.mark.parametrize(("mode", "then"), [(0o640, 0o640), (0o644, 0o640), (0o666, 0o660), (0o600, 0o600)])
def test_an_audit_file_that_is_there_stays_its_groups_and_becomes_nobody_elses(tmp_path: Path, mode: int, then: int) -> None:
    path = tmp_path / "audit.log"
    path.write_text("")
    path.chmod(mode)
    close_audit_file(audit_to_file(path, Troubles()))
    assert stat.S_IMODE(path.stat().st_mode) == then


ANONYMOUS = f'{API_KEY}\n[caller]\nanonymous = true\nroles = ["user"]\n'


@pytest.mark.parametrize("callers", ["", ANONYMOUS], ids=["nobody", "anonymous"])
def test_pages_of_any_origin_are_refused_where_callers_need_no_token(load: Load, callers: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(f'{callers}\n[server]\ncors_origins = ["*"]').check_exposure()
    assert refused.value.key == "server.cors_origins"


def test_pages_of_any_origin_may_ask_where_callers_show_tokens(load: Load) -> None:
    load(f'{API_KEY}\n[server]\ncors_origins = ["*"]').check_exposure()
    load('[server]\ncors_origins = ["https://portal.example.org"]').check_exposure()


@pytest.mark.parametrize("template", [r"\\g<nope>", r"\\2", r"\\g<2>", r"\\g<", r"\\g<1", r"\\q", "\\\\", r"\\g<-1>"])
def test_a_name_template_that_does_not_fit_its_pattern_is_refused(load: Load, template: str) -> None:
    error = refusal(load, site(f'name_pattern = "(.+)"\nname_template = "{template}"'))
    assert "name_template" in error.message


@pytest.mark.parametrize("template", [r"\\g<who>", r"\\1", r"hpc_\\g<1>", "fixed"])
def test_a_name_template_that_fits_is_taken(load: Load, template: str) -> None:
    load(site(f'name_pattern = "(?P<who>.+)"\nname_template = "{template}"'))


@pytest.mark.parametrize("url", ["http://:8080", "http://h:0", "http://h:x", "http://h:99999", "https://[::1"])
def test_a_base_url_without_a_proper_host_and_port_is_refused(load: Load, url: str) -> None:
    assert refusal(load, site(url=f'"{url}"')).key == "sites.aurora.url"


def test_an_empty_host_is_not_every_address(load: Load) -> None:
    assert refusal(load, '[server]\nhost = ""').key == "server.host"
