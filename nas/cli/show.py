"""`nas show`."""

from __future__ import annotations

import json

from nas.cli.app import AsJson, StudyFolder, TrialName, Verbose, app, print_rich


@app.command()
def show(folder: StudyFolder, trial: TrialName, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """Show the values, curve and architecture of a trial."""
    from nas.analysis.results import Results
    from nas.terminal import tables

    results = Results.load(folder)
    if as_json:
        print(json.dumps(tables.trial_record(results, results.trial(trial)), allow_nan=False))
    else:
        print_rich(tables.trial_panel(results, results.trial(trial)))
