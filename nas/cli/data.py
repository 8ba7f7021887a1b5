"""`nas data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import AsJson, Verbose, app, expand_path, print_rich


@app.command()
def data(
    where: Annotated[
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
    import sys
    from tempfile import TemporaryDirectory

    from nas.analysis.dataset_summary import leak_warnings
    from nas.formatting import printable
    from nas.study.data_argument import describe_data
    from nas.study.destinations import check_file
    from nas.terminal.console import create_console
    from nas.terminal.dataset import dataset_panel
    from nas.terminal.progress import TerminalDisplay

    if html_file is not None:
        check_file(html_file)
    with TemporaryDirectory(prefix="mixfront-") as scratch:
        with TerminalDisplay(create_console(stderr=True)).step("reading images") as progress:
            dataset, file = describe_data(where, overrides or [], Path(scratch), progress)
        if html_file is not None:
            from nas.report.data_page import write_data_page

            write_data_page(dataset, file, html_file)
    for warning in leak_warnings(dataset):
        print(f"nas: warning: data: {printable(warning)}", file=sys.stderr)
    if as_json:
        print(json.dumps(dataset))
    else:
        print_rich(dataset_panel(dataset))
