"""CPU time of importing the client against `import aiohttp`, each in a fresh interpreter.

`import telepath_async` alone leaves aiohttp out, which the client brings when it is asked for.
"""

import os
import subprocess
import sys

from compare import QUICK, Table, goal

ROUNDS = 5 if QUICK else 9


def seconds(statement: str) -> float:
    begun = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True)
    ended = os.times()
    return sum(ended[2:4]) - sum(begun[2:4])  # user and system time of the children


if __name__ == "__main__":
    table = Table("import in a fresh interpreter", "CPU ms")
    contenders = {
        "aiohttp": "import aiohttp",
        "telepath_async": "from telepath_async import TelepathClient",
    }
    for statement in contenders.values():
        seconds(statement)
    for _ in range(ROUNDS):
        for name, statement in contenders.items():
            table.add(name, seconds(statement) * 1000)
    table.show()
    goal("import, against import aiohttp", table.ratio("telepath_async", "aiohttp"), at_most=1.10)
