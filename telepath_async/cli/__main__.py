"""`python -m telepath_async.cli` is `telepath`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
