"""What holds for every test: its files are its own, and a test that failed while the machine stood still is run again.

Tests against real instances are not even collected where none are named: a thousand cases would be skipped one by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from support.profiles import use_profile
from support.standstill import Watch

use_profile()

WATCH = pytest.StashKey[Watch]()
LIVE = Path(__file__).parent / "live"
RUNS = 3
#: variables that are about the tests themselves
OF_TESTS = ("CCGATEWAY_LIVE_", "CCGATEWAY_KILLS")
#: an outcome beside pytest's own
AGAIN: Any = "again"


def pytest_configure(config: pytest.Config) -> None:
    for name in list(os.environ):
        if name.startswith("CCGATEWAY_") and not name.startswith(OF_TESTS):
            del os.environ[name]  # of whoever runs the tests: no setting of a gateway that is tested
    config.stash[WATCH] = Watch()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[WATCH].stop()


def leaves_out_live(config: pytest.Config) -> bool:
    """Whether tests that need real instances are asked for only with all others, and no instances are named."""
    asked = [(config.invocation_params.dir / argument.split("::")[0]).resolve() for argument in config.args]
    only_with_others = any(LIVE.is_relative_to(path) for path in asked) and not any(path.is_relative_to(LIVE) for path in asked)
    return only_with_others and not any(name.startswith("CCGATEWAY_LIVE_") for name in os.environ)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path == LIVE and leaves_out_live(config) else None


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: many tests wait (for time limits, for other processes) most of their time."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Runs a test, and again as long as it fails in a standstill, which is reported as ``again``."""
    watch = item.config.stash[WATCH]
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for run in range(1, RUNS + 1):
        watch.begin()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        means_nothing = run < RUNS and any(report.failed for report in reports) and watch.stood_still()
        for report in reports:
            if not means_nothing:
                item.ihook.pytest_runtest_logreport(report=report)
            elif report.failed:
                report.outcome = AGAIN
                item.ihook.pytest_runtest_logreport(report=report)
        if not means_nothing:
            break
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    return ("again", "A", "AGAIN") if report.outcome == AGAIN else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if leaves_out_live(config):
        terminalreporter.write_line("tests/live is left out: it needs real instances (tests/live/README.md)")
    for report in terminalreporter.stats.get("again", ()):
        terminalreporter.write_line(f"AGAIN {report.nodeid}, which failed while the machine stood still:")
        terminalreporter.write_line(report.longreprtext[-500:])


@pytest.fixture(autouse=True, scope="session")
def files_for_nobody_else() -> Iterator[None]:
    """A gateway that is to use the files of a test refuses those that others can read or write."""
    before = os.umask(0o077)
    yield
    os.umask(before)
