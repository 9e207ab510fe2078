"""Phone numbers and the agents that answer them: another vendor's objects (Fluents)."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from .fields import Model, OpenEnum, collection, extra_fields


class TelephonyProvider(OpenEnum):
    TWILIO = "twilio"
    VONAGE = "vonage"


class Language(OpenEnum):
    EN = "en"
    ES = "es"
    DE = "de"
    HI = "hi"
    PT = "pt"
    FR = "fr"
    NL = "nl"
    ID = "id"
    IT = "it"
    JA = "ja"
    KO = "ko"


class PromptType(OpenEnum):
    PROMPT = "prompt"
    BLOCK = "block"


class ActionType(OpenEnum):
    TRANSFER_CALL = "action_transfer_call"
    END_CONVERSATION = "action_end_conversation"
    DTMF = "action_dtmf"


class WebhookEvent(OpenEnum):
    MESSAGE = "event_message"
    ACTION = "event_action"


class WebhookMethod(OpenEnum):
    GET = "GET"
    POST = "POST"


class InterruptSensitivity(OpenEnum):
    LOW = "low"
    HIGH = "high"


class EndpointingSensitivity(OpenEnum):
    AUTO = "auto"
    RELAXED = "relaxed"
    SENSITIVE = "sensitive"


class IvrNavigationMode(OpenEnum):
    DEFAULT = "default"
    OFF = "off"


class AccountConnectionType(OpenEnum):
    TWILIO = "account_connection_twilio"
    OPENAI = "account_connection_openai"
    GOOGLE = "account_connection_google"
    AZURE_LLM = "account_connection_azure_llm"
    ELEVENLABS = "account_connection_elevenlabs"
    DEEPGRAM = "account_connection_deepgram"
    CARTESIA = "account_connection_cartesia"
    PLAYHT = "account_connection_playht"
    RIME = "account_connection_rime"
    AZURE_SPEECH = "account_connection_azure_speech"
    ASSEMBLYAI = "account_connection_assemblyai"
    DEEPSEEK = "account_connection_deepseek"
    TELNYX = "account_connection_telnyx"
    UN_PW_OAUTH = "account_connection_un_pw_oauth"
    LOGIN_KEY_OAUTH = "account_connection_login_key_oauth"
    EXTERNAL_API_KEY = "account_connection_external_api_key"


@frozen(kw_only=True, weakref_slot=False)
class PromptTemplate(Model):
    id: str | None = None
    user_id: str | None = None
    label: str | None = None
    required_context_keys: list[str] | None = collection()
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class Prompt(Model):
    id: str | None = None
    user_id: str | None = None
    label: str | None = None
    description: str | None = None
    content: str | None = None
    context_endpoint: str | None = None
    type: PromptType | None = None
    tags: list[str] | None = collection()
    collect_fields: list[Any] | None = collection()
    prompt_template: str | PromptTemplate | None = None
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class Action(Model):
    id: str | None = None
    user_id: str | None = None
    type: ActionType | None = None
    label: str | None = None
    description: str | None = None
    config: dict[str, Any] | None = collection()
    action_trigger: dict[str, Any] | None = collection()
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class Voice(Model):
    """A synthesizer's voice; all but these fields depends on its provider and stands in `extra`."""

    id: str | None = None
    user_id: str | None = None
    type: str | None = None
    label: str | None = None
    description: str | None = None
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class Webhook(Model):
    id: str | None = None
    user_id: str | None = None
    subscriptions: list[WebhookEvent] | None = collection()
    url: str | None = None
    method: WebhookMethod | None = None
    label: str | None = None
    description: str | None = None
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class AccountConnection(Model):
    """An account at another vendor. Every text in its `credentials` is a `Secret`."""

    id: str | None = None
    user_id: str | None = None
    type: AccountConnectionType | None = None
    credentials: dict[str, Any] | None = collection()
    label: str | None = None
    description: str | None = None
    steering_pool: list[str] | None = collection()
    account_supports_any_caller_id: bool | None = None
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class Agent(Model):
    """The agent that answers a number. An object inside it may come as its id alone.

    `initial_message_delay` and `idle_time_seconds` as the vendor names them; `conversation_speed`
    and `llm_temperature` are plain factors.
    """

    id: str | None = None
    user_id: str | None = None
    name: str | None = None
    label: str | None = None
    description: str | None = None
    prompt: str | Prompt | None = None
    language: Language | None = None
    actions: list[str | Action] | None = collection()
    voice: str | Voice | None = None
    initial_message: str | None = None
    initial_message_delay: int | float | None = None
    webhook: str | Webhook | None = None
    interrupt_sensitivity: InterruptSensitivity | None = None
    endpointing_sensitivity: EndpointingSensitivity | None = None
    ivr_navigation_mode: IvrNavigationMode | None = None
    conversation_speed: int | float | None = None
    idle_time_seconds: int | float | None = None
    ask_if_human_present_on_idle: bool | None = None
    run_do_not_call_detection: bool | None = None
    noise_suppression: bool | None = None
    context_endpoint: str | None = None
    openai_model_name_override: str | None = None
    deepgram_keywords: dict[str, Any] | list[Any] | None = collection()
    llm_provider: str | None = None
    llm_model: str | None = None
    llm_temperature: int | float | None = None
    openai_account_connection: str | AccountConnection | None = None
    telephony_account_connection: str | AccountConnection | None = None
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class PhoneNumber(Model):
    """A phone number. `id` and `user_id` are UUIDs; `number` is E.164.

    API reference: Update Number (Fluents).
    """

    number: str
    id: str | None = None
    user_id: str | None = None
    active: bool | None = None
    label: str | None = None
    inbound_agent_name: str | None = None
    outbound_only: bool | None = None
    example_context: dict[str, Any] | None = collection()
    telephony_provider: TelephonyProvider | None = None
    description: str | None = None
    inbound_agent: str | Agent | None = None
    telephony_account_connection: str | AccountConnection | None = None
    extra: dict[str, Any] = extra_fields()
