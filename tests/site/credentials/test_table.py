"""The file of people's own tokens: read again as it changes, and of no use to anybody while it is not as it should be."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ccgateway.errors import SettingsError
from ccgateway.site.credentials.table import TableError, TokenTable, read_table

GOOD = '[alice.aurora]\nuser = "a.meier"\ntoken = "first-token"\n["sso:bob".borealis]\nroles = ["user", "api"]\n'
CANARY = "canary-token-canary"


class Table:
    """A table on disk, and a clock."""

    def __init__(self, folder: Path, text: str = GOOD) -> None:
        self.path, self.now, self._writes = folder / "table.toml", 1000.0, 0
        self.write(text)
        self.table = TokenTable(self.path, clock=lambda: self.now)

    def write(self, text: str, mode: int = 0o600) -> None:
        self.path.write_text(text)
        self.path.chmod(mode)
        self._writes += 1
        os.utime(self.path, ns=(self._writes * 10**9, self._writes * 10**9))

    async def token(self, subject: str = "alice", site: str = "aurora") -> str | None:
        self.now += 2
        entry = await self.table.entry(subject, site)
        return entry.own.token.get_secret_value() if entry is not None and entry.own is not None else None


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


async def test_it_says_what_is_known_of_each_person_at_each_site(table: Table) -> None:
    alice, bob = await table.table.entry("alice", "aurora"), await table.table.entry("sso:bob", "borealis")
    assert alice is not None and (alice.user, alice.roles) == ("a.meier", None)
    assert bob is not None and bob.roles == frozenset({"user", "api"}) and bob.user is None and bob.own is None
    assert await table.table.entry("alice", "borealis") is None
    assert await table.table.entry("bob", "borealis") is None


async def test_what_is_changed_counts_at_once(table: Table) -> None:
    assert await table.token() == "first-token"
    table.write('[alice.aurora]\ntoken = "second-token"\n')
    assert await table.token() == "second-token"
    table.write("")
    assert await table.token() is None


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("[alice.aurora", 0o600),
        ('[alice.aurora]\ntoken = "x y"', 0o600),
        (GOOD, 0o604),
        (GOOD, 0o620),
        (GOOD, 0o602),
        (None, 0),
    ],
    ids=["no TOML", "no token", "all can read it", "its group can write it", "all can write it", "gone"],
)
async def test_nobody_gets_a_token_by_a_table_that_is_not_right_until_it_is(
    table: Table, text: str | None, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert await table.token() == "first-token"
    if text is None:
        table.path.unlink()
    else:
        table.write(text, mode)
    for _ in range(3):
        with pytest.raises(TableError):
            await table.token()
    assert len([record for record in caplog.records if "nobody gets a token until" in record.getMessage()]) == 1
    table.write(GOOD)
    assert await table.token() == "first-token"


async def test_a_table_that_could_not_be_read_for_a_moment_is_read_again_though_it_is_the_same(
    table: Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lacking(_self: Path, _mode: str) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    table.write(GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lacking)
        for _ in range(3):
            with pytest.raises(TableError):
                await table.token()
    assert len([record for record in caplog.records if "Too many open files" in record.getMessage()]) == 1
    assert await table.token() == "first-token"


async def test_its_group_may_read_it(table: Table) -> None:
    table.write(GOOD, 0o640)
    assert await table.token() == "first-token"


@pytest.mark.parametrize(
    "text",
    [
        f'alice = "{CANARY}"',
        f'[alice]\naurora = "{CANARY}"',
        f'[alice.aurora]\ntokne = "{CANARY}"',
        f"[alice.aurora]\n{CANARY} = 5",
        f'[alice.aurora]\ntoken = "{CANARY} {CANARY}"',
        f'[alice.aurora]\ntoken = ["{CANARY}"]',
        f'[alice.aurora]\nuser = "../{CANARY}"',
        f'[alice.aurora]\nroles = ["{CANARY}"]',
        f'[alice.aurora]\ntoken = "{CANARY}',
        f"[alice.aurora]\ntoken = {CANARY}",
        '[alice.aurora]\ntoken = ""',
        "a = [" * 5000,
    ],
)
def test_what_is_wrong_is_said_at_the_start_without_what_stands_there(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError) as refused:
        TokenTable(path)
    assert refused.value.key == "identities.table" and CANARY not in refused.value.message + repr(refused.value)


def test_a_table_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    path.write_bytes(b"#" * ((16 << 20) + 1))
    path.chmod(0o600)
    with pytest.raises(TableError, match="bytes"):
        read_table(path)
