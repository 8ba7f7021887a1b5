"""`nas status`."""

from __future__ import annotations

import json

from nas.cli.app import AsJson, StudyFolder, Verbose, app, print_rich


@app.command()
def status(folder: StudyFolder, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """Show the progress, best trial and times of a study."""
    from nas.analysis.results import Results
    from nas.terminal import tables

    results = Results.load(folder)
    if as_json:
        print(json.dumps(tables.status_record(results)))
    else:
        print_rich(tables.status_panel(results))
