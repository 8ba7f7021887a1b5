"""`nas backup`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import AsJson, StudyFolder, Verbose, app, expand_path


@app.command()
def backup(
    folder: StudyFolder,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", callback=expand_path, help="The archive to write: NAME.tar, NAME.tar.gz or NAME.tgz."
        ),
    ],
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="With the checkpoints of trials that have not ended or have failed.")
    ] = False,
    data: Annotated[bool, typer.Option("--data", help="With the decoded images.")] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Write a consistent copy of a study to one archive, also while a search runs on it.

    The archive holds a folder NAME, which is a study: unpack it with `tar`, and every command works on it. `nas doctor` compares
    it with its manifest.
    """
    from nas.formatting import count, shell_path
    from nas.study.backup import BackupParts, write_backup
    from nas.terminal.console import create_console
    from nas.terminal.progress import TerminalDisplay

    with TerminalDisplay(create_console(stderr=True)).step("backing up") as progress:
        written = write_backup(folder, file, BackupParts(checkpoints, data), progress)
    record = written.to_dict()
    if written.missing_weights:
        numbers = ", ".join(map(str, written.missing_weights[:10]))
        more = ", ..." if len(written.missing_weights) > 10 else ""
        trials = count(len(written.missing_weights), "complete trial")
        print(f"nas: warning: {folder}: the weights of {trials} are missing: {numbers}{more}", file=sys.stderr)
    if as_json:
        print(json.dumps(record))
        return
    print(f"backup: {file} ({record['size_bytes'] / 1e6:.1f} MB, {count(sum(written.counts.values()), 'trial')})")
    print(f"unpack: tar -xf {shell_path(file)} (creates the folder {written.folder})")
