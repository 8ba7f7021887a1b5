"""`nas report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import StudyFolder, Verbose, app, expand_path


@app.command()
def report(
    folder: StudyFolder,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", callback=expand_path, help="The HTML file to write (default: DIR/report.html)."
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Write a self-contained HTML page of a study.

    The command first measures the test accuracy of trials on the front that have none yet.
    """
    from nas import report as reports
    from nas.formatting import printable
    from nas.models.front_test_accuracy import measure_test_accuracy
    from nas.study.content import StudySnapshot
    from nas.terminal.console import create_console
    from nas.terminal.progress import TerminalDisplay

    study = StudySnapshot.of(folder)
    reports.check_out(folder, out_file)
    for line in measure_test_accuracy(study).missing:
        print(f"nas: no test accuracy: {printable(line)}", file=sys.stderr)
    with TerminalDisplay(create_console(stderr=True)).step("writing the report") as progress:
        written = reports.write(folder, out_file, progress)
    print(f"report: {written} ({written.stat().st_size / 1e6:.1f} MB)")
