"""The command as a process: how it ends when it is interrupted before it has begun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_an_interrupt_while_the_command_is_still_imported_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")  # Ctrl-C within the import that takes longest
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from nas.cli.main import main; sys.exit(main())"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
