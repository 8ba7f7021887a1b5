"""The Typer application, and the arguments that several commands share."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.completion import complete_folder, complete_trial

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="nas",
    help="Search for vision backbones on the Pareto front of accuracy, MACs and measured throughput.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=HELP_NAMES,
)


def _configure_logging(verbose: bool) -> bool:
    from nas import logs
    from nas.errors import UsageError

    try:
        logs.configure(verbose)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return verbose


def _print_versions(requested: bool) -> None:
    if not requested:
        return
    from nas.study.environment import versions

    for name, version in versions().items():
        print(name, version)
    raise typer.Exit


def expand_path(path: Path | None) -> Path | None:
    """`path` with a leading `~` expanded, which no shell does in `--out=~/runs`; it must be text that files can hold.

    Raises:
        UsageError: the path has bytes that are no UTF-8, or the locale is another one and cannot tell.
    """
    from nas.errors import UsageError
    from nas.formatting import printable

    if path is None:
        return None
    text = os.path.expanduser(path)  # noqa: PTH111 - `~x` stays as it is where x is no user
    try:
        text.encode()
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        hint = "" if encoding == "utf-8" else f"; the locale has the encoding {encoding}, set PYTHONUTF8=1"
        raise UsageError(f"{printable(text)}: a path must be text in UTF-8{hint}") from None
    return Path(text)


Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", callback=_configure_logging, help="Show log messages; MIXFRONT_LOG=debug shows more."
    ),
]
StudyFolder = Annotated[
    Path,
    typer.Argument(metavar="DIR", callback=expand_path, autocompletion=complete_folder, help="The folder of a study."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
TrialName = Annotated[
    str,
    typer.Argument(metavar="TRIAL", autocompletion=complete_trial, help="The number of a trial, or 'best'."),
]


@app.callback()
def nas(
    verbose: Verbose = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_versions, is_eager=True, help="Show the versions and exit."),
    ] = False,
) -> None:
    """Search for vision backbones on the Pareto front of accuracy, MACs and measured throughput."""


def print_rich(*renderables: Any) -> None:
    """Print to standard output."""
    from nas.terminal.console import create_console

    create_console().print(*renderables)


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Split `words` into files and `key.sub=value` overrides. `runs/lr=0.1/study.yaml` is a file: no key has a slash."""
    check_quotes(words)
    overrides = [word for word in words if "=" in word and "/" not in word.partition("=")[0] and not _is_file(word)]
    return [word for word in words if word not in overrides], overrides


def check_quotes(words: list[str]) -> None:
    """Refuse an override that the shell has cut at a space: `limits={macs:` and `2e6}`.

    Raises:
        ConfigError: names the words and shows the override in quotes.
    """
    for index, word in enumerate(words):
        _, equals, value = word.partition("=")
        if not equals or not value.startswith(("[", "{")) or _open_brackets(value) <= 0:
            continue
        for end in range(index + 2, len(words) + 1):
            if "=" in words[end - 1]:
                break
            if _open_brackets(" ".join([value, *words[index + 1 : end]])) == 0:
                from nas.errors import ConfigError

                whole = " ".join(words[index:end])
                raise ConfigError(word, f"an override with spaces needs quotes: {shlex.quote(whole)}")


def _open_brackets(text: str) -> int:
    return sum((character in "[{") - (character in "]}") for character in text)


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except OSError:  # longer than names of files may be
        return False
