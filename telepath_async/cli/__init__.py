"""Define the `telepath` command (extra `[cli]`): the SDK from a shell.

There is one module for each group of commands, and one for each large command.
`shell.py` holds what all commands share, `options.py` the options that several have, `output.py`
what they print, `exits.py` how they end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

_OF_THE_EXTRA: Final = ("rich", "typer", "yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. `arguments`: those of the process when None."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]  # `2>&-`
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # until the process ends
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # `<&-`
        sys.stdin = open(os.devnull)  # noqa: SIM115  # until the process ends
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in _OF_THE_EXTRA:
            raise
        sys.stderr.write(f'telepath needs {error.name}: pip install "telepath-async[cli]"\n')
        return 1
    return run(arguments)
