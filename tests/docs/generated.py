"""Pages that are made from the code: `python -m tests.docs.generated` writes them anew."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from telepath_async.cli.app import app
from telepath_async.sandbox import openapi

from .blocks import FENCED

DOCS: Final = Path(__file__).parents[2] / "docs"


def command_page() -> str:
    """Return the reference of the `telepath` command."""
    top: Any = typer.main.get_command(app)
    shared = _shared_options(top)
    common = "\n".join(_options(list(shared.values())))
    lines = [
        "# The `telepath` command",
        f'{top.help} It comes with `pip install "telepath-async[cli]"`.',
        "Keys and passwords are asked for, or read from the environment or a file, never from the "
        "arguments, and are printed only with `--show-secrets`. `telepath --install-completion` "
        "sets up completion.",
        _shown_only(top.epilog),
        f"## Common options\n\nOf all commands that call the API:\n\n{common}",
        *_commands(top, "telepath", set(shared)),
    ]
    return "\n\n".join(lines) + "\n"


def _commands(group: Any, path: str, shared: set[str]) -> Iterator[str]:
    for name, command in group.commands.items():
        full = f"{path} {name}"
        arguments = [_argument(p) for p in command.params if _is_argument(p)]
        yield f"## `{' '.join([full, *arguments])}`"
        yield (command.help or "").strip()
        own = [p for p in command.params if not _is_argument(p) and p.name not in shared]
        if own:
            yield "\n".join(_options(own))
        if command.epilog:
            yield _shown_only(command.epilog)
        if hasattr(command, "commands"):
            yield from _commands(command, full, shared)


def _shared_options(top: Any) -> dict[str, Any]:
    listing = top.commands["trunks"].commands["list"]
    return {
        p.name: p for p in listing.params if getattr(p, "rich_help_panel", None) == "Common options"
    }


def _options(parameters: list[Any]) -> Iterator[str]:
    yield "| option | |"
    yield "| --- | --- |"
    for parameter in parameters:
        names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
        value = f" `{parameter.metavar}`" if parameter.metavar else ""
        notes = [(parameter.help or "").replace("|", "\\|")]
        if parameter.required:
            notes.append("Required.")
        elif not (parameter.default is None or isinstance(parameter.default, bool)):
            notes.append(f"Default: `{parameter.default}`.")
        yield f"| {names}{value} | {' '.join(filter(None, notes))} |"


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return f"{name}{'' if parameter.nargs == 1 else ' …'}"


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _shown_only(epilog: str) -> str:
    return "\n\n".join(
        f"```text\n{part.strip()}\n```" for part in epilog.split("\b") if part.strip()
    )


def llms_page() -> str:
    """Return llms.txt: the pages, for readers that are language models."""
    project = tomllib.loads((DOCS.parent / "zensical.toml").read_text())["project"]
    lines = [
        f"# {project['site_name']}",
        "",
        f"> {project['site_description']}",
        "",
        "## Start",
        "",
    ]
    for entry in project["nav"]:
        ((title, target),) = entry.items()
        if isinstance(target, str):
            lines.append(_link(title, target))
        else:
            lines += ["", f"## {title}", ""]
            lines += [_link(*pair) for page in target for pair in page.items()]
    return "\n".join(lines) + "\n"


def _link(title: str, target: str) -> str:
    paragraphs = FENCED.sub("", (DOCS / target).read_text()).split("\n\n")
    prose = (" ".join(text.split()) for text in paragraphs if text[:1] not in "#:|[")
    sentence, stop, _ = next(prose, "").partition(". ")
    return f"- [{title}]({target}): {sentence}{'.' if stop else ''}".rstrip(": ")


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "reference/command.md": command_page,
    "openapi-offset.json": lambda: json.dumps(openapi("offset"), indent=2) + "\n",
    "openapi-cursor.json": lambda: json.dumps(openapi("cursor"), indent=2) + "\n",
    "llms.txt": llms_page,  # after the pages that it lists
}

if __name__ == "__main__":
    for name, text in GENERATED.items():
        (DOCS / name).write_text(text())
