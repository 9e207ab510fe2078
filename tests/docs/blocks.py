"""Run the code blocks of a Markdown page, in order, as a reader would who types them.

- `python`: with `await` at the top level, as in `python -m asyncio`; the blocks of a page share
  their names, and `telepath` is an open client of a sandbox. One that has `asyncio.run(` is run as
  a program.
- `sh`: by bash, in an empty folder; what it exports stays set for the blocks after it.
- any language with `title="name"`: a file in that folder.
- `text`, `mermaid`: shown only.

`pip install`, `nox` and `uvx` are not run: what they name must be in pyproject.toml or noxfile.py.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shlex
import signal
import socket
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen

ROOT: Final = Path(__file__).parents[2]
FENCED: Final = re.compile(
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?$\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_SHOWN_ONLY: Final = ("text", "mermaid")
_PORT: Final = "8080"
REDIS: Final = "redis://localhost"
_ENVIRONMENT: Final = "environment.sh"
_UNTIL_IT_LISTENS: Final = (
    "for try in $(seq 600); do (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done"
)


@frozen
class Block:
    """A fenced block: `line` is that of its fence."""

    line: int
    language: str
    title: str | None
    text: str


def read_blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page."""
    text = page.read_text()
    found = list(FENCED.finditer(text))
    fences = re.findall(r"^\s*```", text, re.MULTILINE)
    assert len(fences) == 2 * len(found), f"{page}: an odd fence"
    for match in found:
        line = text.count("\n", 0, match.start()) + 1
        yield Block(line, match["language"], match["title"], match["text"])


@define
class Reader:
    """A reader at a shell and a Python prompt in `folder`, with `names` defined."""

    page: Path
    folder: Path
    names: dict[str, Any]
    variables: dict[str, str]
    redis_url: str = REDIS
    port: str = field(init=False)
    groups: list[int] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        (self.folder / _ENVIRONMENT).touch()

    async def read(self) -> None:
        """Do what every block of the page says."""
        try:
            for block in read_blocks(self.page):
                await self._do(block)
        finally:
            for group in self.groups:
                _end(group)
            for name, module in list(sys.modules.items()):
                if (getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                    del sys.modules[name]

    async def _do(self, block: Block) -> None:
        where = f"{self.page.name}:{block.line}"
        text = block.text.replace(_PORT, self.port).replace(REDIS, self.redis_url)
        if block.title is not None:
            (self.folder / block.title).write_text(text)
        elif block.language == "python" and "asyncio.run(" in text:
            script = self.folder / f"line_{block.line}.py"
            script.write_text(text)
            await self._shell(f"python -W error {script.name}", where)
        elif block.language == "python":
            await self._python(text, block.line)
        elif block.language == "sh":
            await self._shell("\n".join(self._commands(text)), where)
        else:
            assert block.language in _SHOWN_ONLY, f"{where}: ```{block.language}"

    async def _python(self, text: str, line: int) -> None:
        # So that a traceback shows the line of the page.
        code = compile(
            "\n" * line + text, str(self.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True
        )
        result = eval(code, self.names)
        if inspect.iscoroutine(result):
            await result

    def _commands(self, text: str) -> Iterator[str]:
        for line in text.splitlines():
            if "pip install" in line or "nox -s" in line:
                check_installs(line)
                continue
            check_installs(line)
            yield re.sub(r'uvx --from "[^"]+" ', "", line)
            if re.search(r"&\s*(#.*)?$", line) and self.port in line:
                yield _UNTIL_IT_LISTENS.format(port=self.port)

    async def _shell(self, commands: str, where: str) -> None:
        script = f"set -e\n. ./{_ENVIRONMENT}\n{commands}\nexport -p > {_ENVIRONMENT}"
        log = self.folder / "output.txt"
        with log.open("w") as output:
            process = await asyncio.create_subprocess_exec(
                "bash",
                "-c",
                script,
                cwd=self.folder,
                env=self._variables(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            self.groups.append(process.pid)
            code = await process.wait()
        assert code == 0, f"{where}: exit code {code}\n{script}\n{log.read_text()}"

    def _variables(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        known = {k: v for k, v in os.environ.items() if not k.startswith(("TELEPATH_", "PYTEST_"))}
        home = {"HOME": str(self.folder), "DLT_DATA_DIR": str(self.folder)}  # dlt: else root's /var
        return {**known, **self.variables, **home, "PATH": path}


def _end(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def check_installs(line: str) -> None:
    """Check that the extras and the sessions that a command names exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    sessions = re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    for name, extras in re.findall(r"(telepath-async|\.)\[([\w,]+)\]", line):
        assert name in (".", project["name"])
        assert set(extras.split(",")) <= set(project["optional-dependencies"]), line
    for named in re.findall(r"nox -s ([\w ]+)", line):
        assert set(shlex.split(named)) <= set(sessions), line
