"""All that is run on this project: `nox -l` lists it.

`nox -s demo` and `nox -s tests` are where to begin.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.sessions = ["tests", "lint", "typing", "examples"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
EVERYTHING = f".[{','.join(PYPROJECT['project']['optional-dependencies'])}]"
PYTHONS = nox.project.python_versions(PYPROJECT)
# Two for each core: half of them wait.
ON_ALL_CORES = [f"--numprocesses={2 * (os.cpu_count() or 1)}", "--dist=worksteal"]
QUICK_ONES = ["-m", "not long"]
NOT_YET_DECLARED = ["3.14"]

if shutil.which("pyenv"):  # its shims hide every Python but the chosen ones: choose them all
    chosen, installed = (
        subprocess.run(["pyenv", *words], capture_output=True, text=True).stdout.split()
        for words in (["version-name"], ["versions", "--bare"])
    )
    os.environ["PYENV_VERSION"] = ":".join([":".join(chosen), *installed])


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


@nox.session
def demo(session: nox.Session) -> None:
    """Do the SDK's main job against the embedded sandbox, and watch."""
    session.install(".[demo]")
    session.run("python", "-m", "telepath_async.demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on this Python, then on the lowest versions declared: about 4 + 4 minutes.

    Those that prove by repetition are left to `coverage`. Some: `-- tests/test_client.py -k key`.
    """
    session.install("-e", EVERYTHING, *group("test"))
    session.run("pytest", *(session.posargs or [*ON_ALL_CORES, *QUICK_ONES]))
    if not session.posargs:
        session.notify("lowest")


@nox.session
def coverage(session: nox.Session) -> None:
    """Run all tests, and fail where a line or a branch is not reached: about 10 minutes."""
    session.install("-e", EVERYTHING, *group("test"))
    # Not pytest-cov: pytest loads our plugin, and so the package, before it begins to measure.
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *ON_ALL_CORES)
    session.run("coverage", "combine", "--quiet")
    # Half of the sync needs PostgreSQL, the shared limiter Redis, the workers one of the two.
    edges = ["demo.py", "cli/__main__.py", "sync/*", "redis/*", "worker/*"]
    omitted = ",".join(f"telepath_async/{edge}" for edge in edges)
    omit = [] if os.environ.get("TELEPATH_REQUIRE_SERVICES") else [f"--omit={omitted}"]
    session.run("coverage", "report", "--fail-under=100", *omit)


@nox.session(python=[*PYTHONS, *NOT_YET_DECLARED])
def tests_all(session: nox.Session) -> None:
    """Run the tests on every Python that is found, pyenv's included; without coverage."""
    session.install("-e", EVERYTHING, *group("test"))
    session.run("pytest", *(session.posargs or [*ON_ALL_CORES, *QUICK_ONES]))


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests on the lowest versions that pyproject.toml declares."""
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    declared = [
        *PYPROJECT["project"]["dependencies"],
        *(item for extra in extras for item in extra),
        *group("test"),
    ]
    session.install(
        "-e", EVERYTHING, *(re.sub(r">=\s*", "==", requirement) for requirement in declared)
    )
    session.run("pytest", *(session.posargs or [*ON_ALL_CORES, *QUICK_ONES]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format, and what goes to a package index."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    distributions = Path(session.create_tmp())
    for old in distributions.glob("telepath_async-*"):
        old.unlink()
    session.run("python", "-m", "build", "--outdir", str(distributions), silent=True)
    built = sorted(map(str, distributions.glob("telepath_async-*")))
    session.run("twine", "check", "--strict", *built)
    session.run("python", "tests/packaging/contents.py", *built)


@nox.session
@nox.parametrize("extra", ["none", *PYPROJECT["project"]["optional-dependencies"]])
def extras(session: nox.Session, extra: str) -> None:
    """Install each extra alone, and import what it brings; without any, see that each is named."""
    session.install("." if extra == "none" else f".[{extra}]")
    session.run("python", "tests/packaging/extras.py", extra, session.create_tmp())


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: ours strictly, and the ones that users see."""
    session.install("-e", EVERYTHING, *group("test"), *group("typing"))
    session.run("mypy")
    session.run("basedpyright", "--pythonpath", f"{session.bin}/python")


@nox.session
def examples(session: nox.Session) -> None:
    """Run every example against the sandbox."""
    session.install(EVERYTHING, *group("test"), *group("examples"))
    session.run("pytest", "--no-header", "-v", "examples", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a dead link or a missing name fails.

    `-- serve`: at http://127.0.0.1:8000, while you write.
    """
    session.install("-e", EVERYTHING, *group("docs"))
    session.run("python", "-m", "tests.docs.generated")
    session.run("zensical", *(session.posargs or ["build", "--strict", "--clean"]))


@nox.session
def browser(session: nox.Session) -> None:
    """Test the dashboard's page in the system's Chromium; skip where there is none.

    `PICTURES=folder` keeps pictures of it.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    if not (os.environ.get("CHROMIUM") or any(map(shutil.which, names))):
        session.skip("there is no Chromium: apt-get install chromium, or set CHROMIUM")
    session.install("-e", EVERYTHING, *group("test"), *group("browser"))
    session.run("pytest", *(session.posargs or ["tests/browser"]))


@nox.session
def soak(session: nox.Session) -> None:
    """Drive a mixed load under faults for 10 minutes; fail when a promise broke.

    Shorter: `-- --seconds 30`.
    """
    session.install(EVERYTHING, *group("test"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run all benchmarks and write benchmarks/RESULTS.md.

    `-- --quick` is a short run that writes nothing.
    """
    # Not the command line: the generator of a peer wants an older typer.
    session.install(".[jobs,otel,parquet,redis,sync]", *group("bench"))
    session.run("python", "benchmarks/run.py", *session.posargs)
