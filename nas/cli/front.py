"""`nas front`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nas.cli.app import AsJson, StudyFolder, Verbose, app, print_rich


@app.command()
def front(
    folder: StudyFolder,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show the Pareto front of a study."""
    from nas.analysis.results import Results
    from nas.errors import UsageError
    from nas.terminal import tables

    if as_json and as_csv:
        raise UsageError("--json, --csv: one of them at a time")
    results = Results.load(folder)
    if as_json:
        print(json.dumps(results.front_records()))
    elif as_csv:
        print(results.to_csv(), end="")
    else:
        print_rich(tables.front_table(results))
