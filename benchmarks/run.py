"""Run every benchmark, print what it prints, and keep it all in RESULTS.md beside the goals.

`--quick` keeps nothing.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = [
    "aiohttp",
    "attrs",
    "cattrs",
    "msgspec",
    "yarl",
    "orjson",
    "httpx",
    "pydantic",
    "aiolimiter",
    "openapi-python-client",
]


def run(program: Path, results: Path) -> str:
    """Run one benchmark, show its lines as they come, and return them and the seconds it took."""
    begun = time.perf_counter()
    command = [sys.executable, "-u", str(program), *sys.argv[1:]]
    lines: list[str] = []
    environment = {**os.environ, "TELEPATH_BENCH_RESULTS": str(results)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(f"{program.name} failed")
    took = f"\n{program.name} took {time.perf_counter() - begun:.0f} s\n"
    print(took, end="", flush=True)
    return "".join([*lines, took])


def machine() -> str:
    """Say where it was measured."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in cpus if "model name" in line]
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores "
        f"({models[0] if models else platform.machine()}), "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}; "
        f"{libraries}."
    )


def report(output: dict[str, str], goals: list[dict[str, str]], seconds: float) -> str:
    """Return RESULTS.md."""
    rows = [
        f"| {goal['what']} | {goal['goal']} | {goal['figure']} | {goal['verdict']} |"
        for goal in goals
    ]
    tables = [f"## {name}\n\n```\n{text.strip()}\n```\n" for name, text in output.items()]
    return "\n".join([
        "# Results\n",
        f"Written by `nox -s bench` in {seconds:.0f} s. {machine()}\n",
        "Shared machines are noisy: contenders take turns in one run; a ratio is the median of "
        "the ratios round by round.\n",
        "| what | goal | figure | |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        *tables,
    ])  # fmt: skip


def main() -> None:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "goals.ndjson")
        results.touch()
        output = {
            program.name: run(program, results) for program in sorted(HERE.glob("bench_*.py"))
        }
        goals = [json.loads(line) for line in results.read_text().splitlines()]
    missed = [goal for goal in goals if goal["verdict"] != "met"]
    print(
        f"\n{len(goals) - len(missed)} of {len(goals)} goals met, in "
        f"{time.perf_counter() - begun:.0f} s"
    )
    for goal in missed:
        print(f"  {goal['what']}: {goal['figure']} ({goal['goal']}): {goal['verdict']}")
    if "--quick" not in sys.argv:
        (HERE / "RESULTS.md").write_text(report(output, goals, time.perf_counter() - begun))


if __name__ == "__main__":
    main()
