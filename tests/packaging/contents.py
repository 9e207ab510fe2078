"""Check what stands in a built wheel and sdist: `python contents.py WHEEL SDIST`."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

TESTABLE: Final = {
    "CHANGELOG.md", "README.md", "benchmarks/run.py", "docs/index.md", "examples/quickstart.py",
    "noxfile.py", "pyproject.toml", "tests/conftest.py", "zensical.toml",
}  # fmt: skip


def check_wheel(path: Path) -> None:
    """Check that a wheel holds the package alone, typed, with links that hold elsewhere."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        description = wheel.read(metadata).decode()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"telepath_async"}
    assert {"telepath_async/py.typed", "telepath_async/redis/bucket.lua"} <= set(names)
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert links
    assert all(link.startswith("https://") for link in links), links


def check_sdist(path: Path) -> None:
    """Check that a source distribution holds what its tests need."""
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= TESTABLE, TESTABLE - names


if __name__ == "__main__":
    for built in map(Path, sys.argv[1:]):
        (check_wheel if built.suffix == ".whl" else check_sdist)(built)
