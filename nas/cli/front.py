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
    expected: Annotated[
        bool, typer.Option("--expected", help="The trials that a model expects on the front: without lucky ones.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Show the Pareto front of a study.

    Results of trainings are noisy, so that lucky trials hide better ones. `--expected` shows those that would be on the front
    if each objective were known without noise, as far as a model can tell from all trials.
    """
    from nas.analysis.results import Results
    from nas.errors import UsageError
    from nas.terminal import tables

    if as_json and as_csv:
        raise UsageError("--json, --csv: one of them at a time")
    results = Results.load(folder)
    if expected:
        from nas.analysis.expected_front import with_expected_front

        results = with_expected_front(results)
    if as_json:
        print(json.dumps(results.front_records()))
    elif as_csv:
        print(results.to_csv(), end="")
    else:
        print_rich(tables.front_table(results, "Expected front" if expected else "Front"))
