"""`telepath numbers`: update."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from telepath_async import Agent, PhoneNumber, UsageError

from .shell import Shell, command, unprinted

group: Final = typer.Typer(
    help="Phone numbers, and the agents that answer them.", no_args_is_help=True
)

_CLEARABLE: Final = ("label", "description", "example-context", "inbound-agent")


@group.callback()
def _group() -> None:
    pass


@command(
    group,
    "update",
    examples=[
        "telepath numbers update +15550100001 --label 'Front desk' --inbound-agent agent_123",
        "telepath numbers update +15550100001 --clear description --no-outbound-only",
    ],
)
async def update(
    shell: Shell,
    phone_number: Annotated[
        str, typer.Argument(metavar="PHONE_NUMBER", help="E.164: +15550100001")
    ],
    *,
    label: Annotated[str | None, typer.Option()] = None,
    description: Annotated[str | None, typer.Option()] = None,
    outbound_only: Annotated[
        bool | None, typer.Option("--outbound-only/--no-outbound-only", show_default=False)
    ] = None,
    inbound_agent: Annotated[
        str | None, typer.Option(metavar="ID", help="The agent that answers.")
    ] = None,
    example_context: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeatable.")
    ] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help=f"Empty one of {', '.join(_CLEARABLE)}. Repeatable."),
    ] = None,
    numbers_base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where numbers live, if elsewhere; or TELEPATH_NUMBERS_BASE_URL."
        ),
    ] = None,
    numbers_api_key_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Their own key (-: standard input), or TELEPATH_NUMBERS_API_KEY."
        ),
    ] = None,
) -> None:
    """Change a phone number: the fields that are given, and no others."""
    given = {
        "label": label,
        "description": description,
        "outbound_only": outbound_only,
        "inbound_agent": inbound_agent,
        "example_context": _context(example_context),
    }
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    cleared = _cleared(clear)
    for name in fields.keys() & cleared:
        raise UsageError(f"give a {name.replace('_', '-')}, or --clear it, and not both")
    fields |= dict.fromkeys(cleared)
    url = numbers_base_url or os.environ.get("TELEPATH_NUMBERS_BASE_URL") or None
    async with shell.client(
        numbers_base_url=url, numbers_api_key_file=numbers_api_key_file
    ) as telepath:
        number = await telepath.numbers.update(phone_number, **fields)
    with unprinted("the answer", f"the number was updated: {phone_number}"):
        shell.show(number, _fields(number))


def _cleared(fields: list[str] | None) -> list[str]:
    if not set(fields or ()) <= set(_CLEARABLE):
        raise UsageError(f"--clear must name one of {', '.join(_CLEARABLE)}")
    return [field.replace("-", "_") for field in fields or ()]


def _context(pairs: list[str] | None) -> dict[str, str] | None:
    parts = [pair.partition("=") for pair in pairs or ()]
    if not all(name and equals for name, equals, _ in parts):
        raise UsageError("--example-context must be NAME=VALUE, such as company=Acme")
    return {name: value for name, _, value in parts} or None


def _fields(number: PhoneNumber) -> Iterator[tuple[str, object]]:
    agent = number.inbound_agent
    yield "number", number.number
    yield "id", number.id
    yield "label", number.label
    yield "description", number.description
    yield "active", number.active
    yield "outbound only", number.outbound_only
    yield (
        "answered by",
        number.inbound_agent_name
        or (agent.name or agent.id if isinstance(agent, Agent) else agent),
    )
    yield "example context", number.example_context
    yield "provider", number.telephony_provider
    yield "other fields", number.extra or None
