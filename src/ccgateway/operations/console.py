"""Where commands write: results to stdout, everything about them to stderr."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from ccgateway.errors import SettingsError

__all__ = ["explain", "stderr", "stdout"]


def stdout() -> Console:
    """The console for results."""
    return Console(highlight=False, soft_wrap=True)


def stderr() -> Console:
    """The console for messages."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def explain(error: SettingsError) -> None:
    """Writes a refusal as key, problem and remedy."""
    console = stderr()
    console.print(f"[bold red]✗ {escape(error.key)}[/]: {escape(error.problem)}")
    console.print(f"  → {escape(error.remedy)}")
