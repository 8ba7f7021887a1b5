"""`python tests/benchmarks/search_suite`."""

import sys
from pathlib import Path

if not __package__:  # run as a folder, which is then the first place of imports
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from search_suite.command import main

if __name__ == "__main__":
    main()
