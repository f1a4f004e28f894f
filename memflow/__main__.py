"""`python -m memflow`: the same as the command `memflow`."""

import sys

from memflow.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
