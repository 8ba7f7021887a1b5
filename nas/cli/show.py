"""`nas show`."""

from __future__ import annotations

from nas.cli.app import StudyFolder, TrialName, Verbose, app, print_rich


@app.command()
def show(folder: StudyFolder, trial: TrialName, verbose: Verbose = False) -> None:
    """Show the values, curve and architecture of a trial."""
    from nas.analysis.results import Results
    from nas.terminal import tables

    results = Results.load(folder)
    print_rich(tables.trial_panel(results, results.trial(trial)))
