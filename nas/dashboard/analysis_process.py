"""`python -m nas.dashboard.analysis_process DIR`: prints the findings about a study (`nas.page.analysis`) as JSON.

A process of its own: it takes seconds in a large study, during which the server answers, and the memory that it needs is
returned. It has the lowest priority and one thread, since the cores of the machine belong to the search.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NICENESS = 19
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(folder: Path) -> None:
    """Print the findings about the study in `folder`."""
    os.nice(NICENESS)
    from nas.analysis.columns import StudyColumns
    from nas.analysis.results import Results
    from nas.page.analysis import analysis
    from nas.page.packing import json_bytes
    from nas.study.content import StudySnapshot

    study = StudySnapshot.of(folder)
    columns = StudyColumns.of(study.info.objectives, study.trials)
    columns.set_test_accuracy(study.info.test_accuracy)
    sys.stdout.buffer.write(json_bytes(analysis(Results.of(study), columns)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
