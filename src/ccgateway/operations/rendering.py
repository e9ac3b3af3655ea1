"""Results for people (a table, then what to do) and for programs (JSON): of a check, and of how the cache stands."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from ccgateway.cache.counts import RedisStats
from ccgateway.operations.console import shown
from ccgateway.operations.findings import CheckResult, Finding, Level, SiteCheck
from ccgateway.operations.tokens import TokenFacts

__all__ = ["as_json", "redis_as_json", "show", "show_redis"]

_MARKS = {Level.PROBLEM: "[bold red]✗[/]", Level.WARNING: "[yellow]![/]"}
NOTHING = "-"


def show(result: CheckResult, console: Console) -> None:
    """Writes the table, then each finding with its remedy, then the verdict."""
    if result.sites:
        console.print(_table(result))
    if result.redis is not None and result.redis.state == "up":
        console.print(f"[green]✓[/] Redis answers: {shown(result.redis.target)}", soft_wrap=True)
    for finding in sorted(result, key=lambda finding: finding.level is Level.WARNING):
        console.print(f"{_MARKS[finding.level]} [bold]{shown(finding.key)}[/]: {shown(finding.problem)}", soft_wrap=True)
        console.print(f"  → {shown(finding.remedy)}", soft_wrap=True)
    if result.grpc:
        console.print("The gateway is called by gRPC so:\n", soft_wrap=True)
        for line in result.grpc:
            console.print(shown(f"  {line}") if line else "", soft_wrap=True, highlight=False)
        console.print()
    problems = sum(finding.level is Level.PROBLEM for finding in result)
    name = shown(result.path or "the settings in the environment")
    if problems:
        console.print(f"[bold red]{name}: {problems} {'problem' if problems == 1 else 'problems'} to solve.[/]", soft_wrap=True)
    else:
        count = len(result.sites)
        console.print(f"[bold green]{name} is good: {count} {'site' if count == 1 else 'sites'}.[/]", soft_wrap=True)


def _table(result: CheckResult) -> Table:
    table = Table(
        "", "site", "answers", "release", "token", "sees", "users", "clusters", box=None, pad_edge=False, header_style="bold"
    )
    for site in result.sites:
        table.add_row(
            "[green]✓[/]" if site.is_good else _MARKS[Level.PROBLEM],
            shown(f"{site.name} ({site.number})"),
            _answers(site),
            site.release or NOTHING,
            shown(_token(site)),
            shown(site.sees or NOTHING),
            NOTHING if site.users is None else str(site.users),
            shown(", ".join(site.clusters) or NOTHING),
        )
    return table


def _answers(site: SiteCheck) -> str:
    if site.elapsed is not None:
        return f"{site.elapsed * 1000:.0f} ms"
    return "yes" if site.reachable else "no"


def _token(site: SiteCheck) -> str:
    facts = site.token
    if facts is None:
        return ", ".join(site.ways) or "none"
    if not facts.is_jwt:
        return "not a JWT"
    words = f"{facts.subject} [{', '.join(facts.roles)}]"
    if site.accepted is False:
        return f"{words}: refused"
    if (left := facts.seconds_left(datetime.now(UTC))) is not None:
        return f"{words}, {max(0, int(left // 86400))} days left"
    return words


def show_redis(redis: RedisStats, console: Console) -> None:
    """Writes how the Redis stands."""
    table = Table(box=None, pad_edge=False, show_header=False)
    state = "[green]answers[/]" if redis.state == "up" else f"[bold red]not usable[/]: {shown(redis.reason)}"
    table.add_row("Redis", shown(redis.target))
    table.add_row("state", state)
    if redis.used_bytes is not None:
        limit = f" of {redis.max_bytes / 2**20:.1f}" if redis.max_bytes else ", no limit"
        table.add_row("memory", f"{redis.used_bytes / 2**20:.1f}{limit} MiB ({redis.policy})")
    if redis.keys is not None:
        table.add_row("names", str(redis.keys))
    console.print(table)


def redis_as_json(redis: RedisStats) -> str:
    """How the Redis stands, as one JSON document."""
    return json.dumps(_redis(redis), indent=2)


def _redis(redis: RedisStats | None) -> dict[str, Any] | None:
    if redis is None:
        return None
    return {
        "target": redis.target,
        "state": redis.state,
        "reason": redis.reason or None,
        "usedBytes": redis.used_bytes,
        "maxBytes": redis.max_bytes or None,
        "policy": redis.policy,
        "names": redis.keys,
    }


def as_json(result: CheckResult) -> str:
    """The result as one JSON document."""
    return json.dumps(
        {
            "good": result.is_good,
            "file": result.path,
            "findings": [_finding(finding) for finding in result],
            "redis": _redis(result.redis),
            "sites": [_site(site) for site in result.sites],
        },
        indent=2,
    )


def _finding(finding: Finding) -> dict[str, str]:
    return {"level": finding.level.value, "key": finding.key, "problem": finding.problem, "remedy": finding.remedy}


def _site(site: SiteCheck) -> dict[str, Any]:
    return {
        "name": site.name,
        "number": site.number,
        "url": site.url,
        "good": site.is_good,
        "reachable": site.reachable,
        "elapsed": site.elapsed,
        "release": {"configured": site.configured, "found": site.release},
        "token": _facts(site.token, site.accepted),
        "root": site.root,
        "ways": site.ways,
        "sees": site.sees,
        "users": site.users,
        "clusters": site.clusters,
        "sameAs": site.same_as,
    }


def _facts(facts: TokenFacts | None, accepted: bool | None) -> dict[str, Any] | None:  # noqa: FBT001 - three-valued
    if facts is None:
        return None
    return {
        "jwt": facts.is_jwt,
        "subject": facts.subject,
        "roles": list(facts.roles),
        "expires": facts.expires.isoformat() if facts.expires else None,
        "accepted": accepted,
    }
