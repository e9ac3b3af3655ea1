"""What users ask on the command line. It speaks to a gateway by ``ccgateway.client``, as anybody's program does.

jobs         ``ccgateway jobs``
showing      ``ccgateway job``, ``metrics``, ``stats``, ``sites``
tagging      ``ccgateway tag``
exporting    ``ccgateway export``, ``usage``
destination  where an export goes: a file that has its name only once it is whole
options      options that several commands have
connecting   where the gateway is, and who asks
output       tables, JSON, CSV
progress_bar how far long work is
ending       exit status, and one line that says why

What takes long to import is imported where it is used: ``--help`` and completion are to answer at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Gives ``app`` the users' commands."""
    from ccgateway.commands.exporting import export, usage
    from ccgateway.commands.jobs import jobs
    from ccgateway.commands.showing import job, metrics, sites, stats
    from ccgateway.commands.tagging import tag

    for command in (jobs, job, metrics, stats, sites, tag, export, usage):
        app.command(rich_help_panel="Asking a gateway")(command)
