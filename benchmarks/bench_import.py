"""Wall time of `import telepath_async` against `import aiohttp`, each in a fresh interpreter."""

import subprocess
import sys
import time

from compare import QUICK, Table, goal

ROUNDS = 5 if QUICK else 9


def seconds(statement: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    table = Table("import in a fresh interpreter", "ms")
    contenders = {name: f"import {name}" for name in ("aiohttp", "telepath_async")}
    for statement in contenders.values():
        seconds(statement)
    for _ in range(ROUNDS):
        for name, statement in contenders.items():
            table.add(name, seconds(statement) * 1000)
    table.show()
    goal("import, against import aiohttp", table.ratio("telepath_async", "aiohttp"), at_most=1.10)
