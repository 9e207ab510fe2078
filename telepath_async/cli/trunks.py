"""`telepath trunks`: list, find, create, update."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import attrs
import typer

from telepath_async import Trunk, TrunkSpec, TrunkStatus, UsageError

from .credentials import (
    ELEVENLABS_API_KEY,
    OPENAI_API_KEY,
    SIP_PASSWORD,
    read_secret,
    warn_of_credential,
)
from .exits import NOT_FOUND, OK
from .listing import (
    All,
    MaxItems,
    Resume,
    list_options,
    print_list,
    wanted_items,
    warn_of_unknown,
)
from .options import ElevenLabsKeyFile, OpenAIKeyFile
from .output import Column, echo, printable
from .shell import Shell, command, unprinted

group: Final = typer.Typer(help="SIP trunks and their AI agents.", no_args_is_help=True)


SystemPrompt = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Instructions of the agent.")
]
SystemPromptFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The same, from a file.")
]
AgentId = Annotated[str | None, typer.Option("--elevenlabs-agent-id", metavar="ID")]
Endpoint = Annotated[
    str | None, typer.Option("--custom-endpoint", metavar="URL", help="wss:// of your own agent.")
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME=JSON",
        help="A field that no page names, sent as it is. Repeatable.",
    ),
]

COLUMNS: Final[tuple[Column[Trunk], ...]] = (
    Column("name", lambda trunk: trunk.name),
    Column("id", lambda trunk: trunk.id),
    Column("status", lambda trunk: trunk.status),
    Column("provider", lambda trunk: trunk.ai_provider),
    Column("SIP username", lambda trunk: trunk.sip_username),
    Column("calls today", lambda trunk: trunk.metrics.calls_today, "right"),
    Column("success %", lambda trunk: trunk.metrics.success_rate, "right"),
    Column("latency ms", lambda trunk: trunk.metrics.avg_latency_ms, "right"),
    Column("created (UTC)", lambda trunk: trunk.created_at),
    Column("SIP endpoint", lambda trunk: trunk.sip_endpoint),
)


@command(
    group,
    "list",
    examples=["telepath trunks list --status active", "telepath trunks list --json | jq -r .id"],
)
async def list_(
    shell: Shell,
    *,
    status: Annotated[str | None, typer.Option(help="active, inactive or error.")] = None,
    sort: Annotated[str | None, typer.Option(help="Sent to the server as it is.")] = None,
    max_items: MaxItems = None,
    everything: All = False,
    resume: Resume = None,
) -> int:
    """List the trunks."""
    warn_of_unknown("--status", status, TrunkStatus)
    wanted = wanted_items(shell, max_items, everything)
    async with shell.client() as telepath:
        trunks = telepath.trunks.list(
            status=status, sort=sort, resume=resume, **list_options(shell, wanted)
        )
        return await print_list(shell, telepath, trunks, COLUMNS, unit="trunks", wanted=wanted)


@command(group, "find", examples=["telepath trunks find front-desk"])
async def find(
    shell: Shell, sip_username: Annotated[str, typer.Argument(metavar="SIP_USERNAME")]
) -> int:
    """Show the trunk that has a SIP username."""
    async with shell.client() as telepath:
        trunk = await telepath.trunks.find(sip_username)
    if trunk is None:
        echo(f"no trunk has the SIP username {sip_username!r}", kind="error")
        return NOT_FOUND
    show_trunk(shell, trunk)
    return OK


@command(
    group,
    "create",
    examples=[
        "telepath trunks create --name 'Front desk' --provider openai --sip-username front-desk",
        "telepath trunks create --name Front --provider openai --sip-username front "
        "--sip-password-file password.txt",
    ],
)
async def create(
    shell: Shell,
    *,
    name: Annotated[str, typer.Option(help="What people call it.")],
    provider: Annotated[
        Literal["openai", "elevenlabs", "custom"], typer.Option(help="Who answers the calls.")
    ],
    sip_username: Annotated[
        str, typer.Option(help="Letters, digits and hyphens; unique in the account.")
    ],
    sip_password_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Read the SIP password from here (-: standard input)."),
    ] = None,
    openai_api_key_file: OpenAIKeyFile = None,
    elevenlabs_api_key_file: ElevenLabsKeyFile = None,
    elevenlabs_agent_id: AgentId = None,
    custom_endpoint: Endpoint = None,
    system_prompt: SystemPrompt = None,
    system_prompt_file: SystemPromptFile = None,
    field: Fields = None,
) -> None:
    """Create a trunk.

    Its SIP password and the provider's key are asked for, or come from files or the environment:
    TELEPATH_SIP_PASSWORD, OPENAI_API_KEY, ELEVENLABS_API_KEY.
    """
    key_files = (
        ("openai", OPENAI_API_KEY, openai_api_key_file),
        ("elevenlabs", ELEVENLABS_API_KEY, elevenlabs_api_key_file),
    )
    for needing, source, file in key_files:
        if file is not None and provider != needing:
            raise UsageError(f"{source.option} is given, and --provider is {provider}")
    keys = {
        source.variable.lower(): read_secret(source, file)
        for needing, source, file in key_files
        if provider == needing
    }
    fields: dict[str, Any] = {
        "name": name,
        "ai_provider": provider,
        "sip_username": sip_username,
        "sip_password": read_secret(SIP_PASSWORD, sip_password_file),
        "elevenlabs_agent_id": elevenlabs_agent_id,
        "custom_endpoint": custom_endpoint,
        "system_prompt": _prompt(system_prompt, system_prompt_file),
        "extra": _extra(field),
        **keys,
    }
    TrunkSpec(**fields)  # refused before a key is asked for
    async with shell.client() as telepath:
        created = await telepath.trunks.create(**fields)
    with unprinted("the answer", f"the trunk was created: {printable(created.id)}"):
        show_trunk(shell, created)


@command(
    group,
    "update",
    examples=[
        "telepath trunks update conn_abc123 --name 'Back office' --field 'vad={\"threshold\":0.5}'"
    ],
)
async def update(
    shell: Shell,
    trunk_id: Annotated[str, typer.Argument(metavar="TRUNK_ID")],
    *,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    set_openai_api_key: Annotated[
        bool,
        typer.Option("--set-openai-api-key", help="A new key: from OPENAI_API_KEY, or asked for."),
    ] = False,
    openai_api_key_file: OpenAIKeyFile = None,
    set_elevenlabs_api_key: Annotated[
        bool,
        typer.Option(
            "--set-elevenlabs-api-key", help="A new key: from ELEVENLABS_API_KEY, or asked for."
        ),
    ] = False,
    elevenlabs_api_key_file: ElevenLabsKeyFile = None,
    elevenlabs_agent_id: AgentId = None,
    custom_endpoint: Endpoint = None,
    system_prompt: SystemPrompt = None,
    system_prompt_file: SystemPromptFile = None,
    field: Fields = None,
) -> None:
    """Change a trunk: the fields that are given, and no others."""
    texts = {
        "name": name,
        "elevenlabs_agent_id": elevenlabs_agent_id,
        "custom_endpoint": custom_endpoint,
        "system_prompt": _prompt(system_prompt, system_prompt_file),
    }
    fields: dict[str, Any] = {key: value for key, value in texts.items() if value is not None}
    for source, wanted, file in (
        (OPENAI_API_KEY, set_openai_api_key, openai_api_key_file),
        (ELEVENLABS_API_KEY, set_elevenlabs_api_key, elevenlabs_api_key_file),
    ):
        if wanted or file is not None:
            fields[source.variable.lower()] = read_secret(source, file)
    extra = _extra(field)
    if "vad" in extra:
        fields["vad"] = extra.pop("vad")
    async with shell.client() as telepath:
        updated = await telepath.trunks.update(trunk_id, **fields, extra=extra)
    with unprinted("the answer", f"the trunk was updated: {trunk_id}"):
        show_trunk(shell, updated)


def show_trunk(shell: Shell, trunk: Trunk) -> None:
    """Print what the server sent of one trunk: its answer to a change need not hold all."""
    unsent = Trunk(id="")
    fields = [
        *((column.title, column.value(trunk), column.value(unsent)) for column in COLUMNS),
        ("other fields", trunk.extra, unsent.extra),
    ]
    sent = ((title, value) for title, value, none in fields if value != none)
    shell.show(_sent(trunk, unsent), sent)


def _sent(found: Any, unsent: Any) -> dict[str, Any]:
    """Return the fields that are not as they are where nothing was sent."""
    names = [field.name for field in attrs.fields(type(found))]
    values = ((name, getattr(found, name), getattr(unsent, name)) for name in names)
    return {
        name: _sent(value, none) if attrs.has(type(value)) else value
        for name, value, none in values
        if value != none
    }


def _prompt(text: str | None, file: Path | None) -> str | None:
    if file is None:
        return text
    if text is not None:
        raise UsageError("give --system-prompt or --system-prompt-file, and not both")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--system-prompt-file: cannot read {file}: {error}") from None


def _extra(fields: list[str] | None) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    for field in fields or ():
        name, equals, value = field.partition("=")
        warn_of_credential("--field", name)
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            parsed, equals = None, ""
        if name in extra and equals:
            raise UsageError(f"--field {name} is given twice")
        if not (name and equals):
            raise UsageError(
                '--field must be NAME=JSON, such as vad={"threshold":0.5}, or language=\'"en"\' '
                "for a text"
            )
        extra[name] = parsed
    return extra
