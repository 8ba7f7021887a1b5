"""The Typer application, and the arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="nas",
    help="Search for vision backbones on the Pareto front of accuracy, MACs and measured throughput.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _configure_logging(verbose: bool) -> bool:
    from nas import logs
    from nas.errors import UsageError

    try:
        logs.configure(verbose)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return verbose


Verbose = Annotated[
    bool,
    typer.Option("--verbose", callback=_configure_logging, help="Show log messages; MIXFRONT_LOG=debug shows more."),
]
StudyFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
TrialName = Annotated[str, typer.Argument(metavar="TRIAL", help="The number of a trial, or 'best'.")]


@app.callback()
def nas(verbose: Verbose = False) -> None:
    """Search for vision backbones on the Pareto front of accuracy, MACs and measured throughput."""


def print_rich(*renderables: Any) -> None:
    """Print to standard output."""
    from nas.terminal.console import create_console

    create_console().print(*renderables)


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Split `words` into files and `key.sub=value` overrides."""
    return [word for word in words if "=" not in word], [word for word in words if "=" in word]
