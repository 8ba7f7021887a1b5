"""`nas doctor`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from nas.cli.app import AsJson, StudyFolder, Verbose, app

MAX_LINES = 20
"""Findings of one check that are printed."""


@app.command()
def doctor(
    folder: StudyFolder,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Repair what can be repaired without losing anything; what is taken away is moved to DIR/removed-DATE.",
        ),
    ] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Check a study: its database, trials, weights, checkpoints, images and files.

    One line a finding. Exit code 0: nothing has to be repaired; 1: something has.
    """
    from nas.doctor.run import examine_study, repair_study
    from nas.formatting import printable
    from nas.terminal.console import create_console
    from nas.terminal.progress import TerminalDisplay

    with TerminalDisplay(create_console(stderr=True)).step("checking") as progress:
        repaired = repair_study(folder, progress) if repair else None
        left = examine_study(folder, progress) if repaired is None else repaired.left
    if as_json:
        record: dict[str, object] = {"folder": str(folder), "findings": [finding.to_dict() for finding in left]}
        if repaired is not None:
            record["repaired"] = [finding.to_dict() for finding in repaired.done]
            record["not_repaired"] = [{**finding.to_dict(), "error": error} for finding, error in repaired.failed]
            record["removed"] = None if repaired.removed is None else str(repaired.removed)
        print(json.dumps(record))
    else:
        for line in _lines(
            [(finding.code, f"repaired {finding.line}") for finding in repaired.done] if repaired else []
        ):
            print(printable(line))
        for finding, error in repaired.failed if repaired else ():
            print(printable(f"not repaired {finding.code}: {finding.defect.place}: {error}"))
        for line in _lines([(finding.code, finding.line) for finding in left]):
            print(printable(line))
        if not left:
            print(f"{printable(folder)}: nothing to repair")
    sys.exit(1 if any(finding.needs_repair for finding in left) else 0)


def _lines(named: list[tuple[str, str]]) -> list[str]:
    """The lines of `named`, pairs of a code and a line; of each code the first `MAX_LINES`, and how many more there are."""
    lines: list[str] = []
    for code in dict.fromkeys(code for code, _ in named):
        of_code = [line for other, line in named if other == code]
        lines += of_code[:MAX_LINES]
        if len(of_code) > MAX_LINES:
            lines.append(f"... and {len(of_code) - MAX_LINES} more of {code} (--json lists all)")
    return lines
