"""`nas data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.app import AsJson, Verbose, app, check_quotes, expand_path, print_rich


@app.command()
def data(
    argument: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of images, a study (YAML file or installed), the folder of a study, or a source such as digits.",
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[data.key=value ...]", help="Overrides, as for `nas search`.")
    ] = None,
    as_json: AsJson = False,
    html_file: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", callback=expand_path, help="Write a page with a contact sheet, too."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Say what a data set is taken for: classes, splits, files, what is passed over, equal images.

    Images are read as a search would read them, into a temporary folder. Broken images are counted; a search stops at the
    first unless data.on_error=skip.
    """
    import json

    from nas.cli.interruption import interruptible
    from nas.formatting import printable

    check_quotes(overrides or [])
    with interruptible():
        dataset = _describe(argument, overrides or [], html_file)
        _warn(dataset, argument, overrides or [])
    if as_json:
        print(json.dumps(dataset))
        return
    from nas.terminal.dataset import dataset_panel

    print_rich(dataset_panel(dataset))
    if html_file is not None:
        print(f"page: {printable(html_file)}")


def _describe(argument: str, overrides: list[str], html_file: Path | None) -> dict[str, Any]:
    """The description of the data; its page is written if one is asked for."""
    from tempfile import TemporaryDirectory

    from nas.study.data_argument import describe_data
    from nas.study.destinations import check_file
    from nas.terminal.console import create_console
    from nas.terminal.progress import TerminalDisplay

    if html_file is not None:
        check_file(html_file)
    with TemporaryDirectory(prefix="mixfront-") as scratch:
        with TerminalDisplay(create_console(stderr=True)).step("reading images") as progress:
            dataset, file = describe_data(argument, overrides, Path(scratch), progress)
        if html_file is not None:
            from nas.report.data_page import write_data_page

            write_data_page(dataset, file, html_file)
    return dataset


def _warn(dataset: dict[str, Any], argument: str, overrides: list[str]) -> None:
    import sys

    from nas.analysis.dataset_summary import leak_warnings
    from nas.formatting import count, printable
    from nas.study.data_argument import skips_unasked

    warnings = list(leak_warnings(dataset))
    if (broken := dataset.get("skipped_count")) and skips_unasked(argument, overrides):
        left_out = f"{count(broken, 'image')} left out"
        warnings.append(
            f"{left_out}; `nas search` would end with an error: data.on_error=skip leaves them out there, too"
        )
    for warning in warnings:
        print(f"nas: warning: data: {printable(warning)}", file=sys.stderr)
