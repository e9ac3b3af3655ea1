"""Where commands write: results to stdout, everything about them to stderr."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from ccgateway.errors import SettingsError, clean

__all__ = ["explain", "shown", "stderr", "stdout"]


def shown(text: str) -> str:
    """``text`` of anybody's as a console writes it: neither markup nor control characters have an effect."""
    return escape(clean(text))


def stdout() -> Console:
    """The console for results."""
    return Console(highlight=False, soft_wrap=True)


def stderr() -> Console:
    """The console for messages."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def explain(error: SettingsError) -> None:
    """Writes a refusal as key, problem and remedy."""
    console = stderr()
    console.print(f"[bold red]✗ {shown(error.key)}[/]: {shown(error.problem)}")
    console.print(f"  → {shown(error.remedy)}")
