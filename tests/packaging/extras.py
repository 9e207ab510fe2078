"""Use an extra where it alone is installed: `python extras.py NAME`; `none`: each is asked for.

`nox -s extras` runs it.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

PYPROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"
_COMMAND: Final = (
    "import sys; from telepath_async.cli import main; sys.exit(main(['trunks', '-h']))"
)
_EXPORT: Final = """
import asyncio
from telepath_async import TelepathClient
from telepath_async.export import export_calls
from telepath_async.sandbox import Sandbox

async def main():
    async with Sandbox() as box, TelepathClient(box.api_key, base_url=box.base_url) as telepath:
        await export_calls(telepath, "calls.parquet")

asyncio.run(main())
"""
_DASHBOARD: Final = """
import subprocess, sys, telepath_async.dashboard

command = [sys.executable, "-m", "telepath_async.cli", "dashboard", "--sandbox"]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
    address = served.stdout.readline()
    served.terminate()
sys.exit(not address.startswith("http://127.0.0.1:"))
"""
_USES: Final = {
    "cli": _COMMAND,
    "dashboard": _DASHBOARD,
    "jobs": "import telepath_async.worker",
    "parquet": _EXPORT,
}


def use(extra: str, folder: str) -> subprocess.CompletedProcess[str]:
    """Use an extra in a fresh process, as its users would."""
    code = _USES.get(extra, f"import telepath_async.{extra}")
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def main(installed: str, folder: str) -> str | None:
    """Return what is wrong, or None."""
    if installed != "none":
        used = use(installed, folder)
        return used.stderr if used.returncode else None
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    said = {extra: use(extra, folder).stderr for extra in extras}
    silent = [extra for extra, text in said.items() if f"telepath-async[{extra}]" not in text]
    return f"nothing says that these extras are missing: {silent}" if silent else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
