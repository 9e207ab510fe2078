"""All that is run on this project: `nox -l` lists it.

`nox -s demo` and `nox -s tests` are where to begin.
"""

import os
import re
import shutil

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.sessions = ["tests", "lint", "typing", "examples"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
EVERYTHING = f".[{','.join(PYPROJECT['project']['optional-dependencies'])}]"
PYTHONS = nox.project.python_versions(PYPROJECT)
ON_ALL_CORES = ["--numprocesses=auto", "--dist=worksteal"]


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


@nox.session
def demo(session: nox.Session) -> None:
    """Do the SDK's main job against the embedded sandbox, and watch."""
    session.install(".[demo]")
    session.run("python", "-m", "telepath_async.demo", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every Python that is installed, and on the lowest versions declared."""
    session.install("-e", EVERYTHING, *group("test"))
    if session.posargs:
        session.run("pytest", *session.posargs)
    else:
        # Not pytest-cov: pytest loads our plugin, and so the package, before it begins to measure.
        session.run("coverage", "erase")
        session.run("coverage", "run", "-m", "pytest", *ON_ALL_CORES)
        session.run("coverage", "combine", "--quiet")
        # Half of the sync needs PostgreSQL, the shared limiter Redis, the workers one of the two.
        edges = ["demo.py", "cli/__main__.py", "sync/*", "redis/*", "worker/*"]
        omitted = ",".join(f"telepath_async/{edge}" for edge in edges)
        omit = [] if os.environ.get("TELEPATH_REQUIRE_SERVICES") else [f"--omit={omitted}"]
        session.run("coverage", "report", "--fail-under=100", *omit)
    if session.python == PYTHONS[0]:
        session.notify("lowest", session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests on the lowest versions that pyproject.toml declares.

    The tests that prove by repetition are left out.
    """
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    declared = [
        *PYPROJECT["project"]["dependencies"],
        *(item for extra in extras for item in extra),
        *group("test"),
    ]
    session.install(
        "-e", EVERYTHING, *(re.sub(r">=\s*", "==", requirement) for requirement in declared)
    )
    session.run("pytest", *(session.posargs or [*ON_ALL_CORES, "-m", "not long"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


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
