"""What a credential is, and that none is shown."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from telepath_async.errors import UsageError
from telepath_async.models.numbers import AccountConnection, Agent
from telepath_async.protocol.body import write_json
from telepath_async.protocol.redaction import (
    CREDENTIAL,
    Redactor,
    as_secret,
    redact,
    redact_request,
    sanitize,
    secret_values,
    url_secrets,
)
from telepath_async.secret import Secret, SecretNumber


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (None, []),
        ({"a": "plain", "b": 5, "max_tokens": "5"}, []),
        ({"sip_password": Secret("x"), "list": [{"deep": (Secret("y"),)}]}, ["x", "y"]),
        ({"azure_api_key": "x", "vad": {"authToken": "y"}}, ["x", "y"]),
        ({"credentials": {"account": "x", "numbers": ["y", 5, None, True]}}, ["x", "y", "5"]),
        (
            {
                "inbound_agent": Agent(
                    openai_account_connection=AccountConnection(credentials={"account": "x"})
                )
            },
            ["x"],
        ),
    ],
)
def test_every_secret_of_a_body_is_found_also_what_is_plain_behind_a_credentials_name(
    body: object, found: list[str]
) -> None:
    assert [secret.reveal() for secret in secret_values(body)] == found


@pytest.mark.parametrize(
    "name",
    [
        "password", "sip_password", "passwd", "passphrase", "client_secret", "secret_key",
        "pwd", "sip_pwd", "userPwd", "passcode", "openai_key", "elevenlabsKey", "provider-key",
        "credentials", "api_key", "api-key", "x-api-key", "API Key", "apikey",
        "openaiApiKey", "azure_api_key_2", "private_key", "privateKey", "access-key",
        "signing_key", "Authorization", "proxy-authorization", "authorization_header",
        "X-Authorization", "token", "authToken",
        "auth_token", "auth_token_v2", "token_value", "tokenValue", "next_page_token",
        "access_tokens", "bearer token", "session_token_old", "api_key_id",
        "api_key_format",
    ],
)  # fmt: skip
def test_the_name_of_a_credential_is_known_in_every_spelling(name: str) -> None:
    assert redact({name: "needle"}) == {name: Secret("needle")}


@pytest.mark.parametrize(
    "name",
    [
        "tokens_used", "max_tokens", "token_count", "tokens", "token_usage", "token_type",
        "input_token_details", "password_updated_at", "passwordUpdatedAt",
        "password-expires-in", "password_length", "auth_tokens_used", "secret_version",
        "credential_count", "key", "keyboard", "monkey", "author", "authorization_url",
        "passing", "name", "",
    ],
)  # fmt: skip
def test_a_figure_or_a_time_that_only_describes_a_credential_is_shown(name: str) -> None:
    assert redact({name: "plain", "n": {name: 5}}) == {name: "plain", "n": {name: 5}}


@pytest.mark.parametrize("number", [12345678, 0, -1, 1.5, 2**70])
def test_a_number_behind_a_credentials_name_is_hidden_and_sent_as_a_number(number: float) -> None:
    hidden = redact({"sip_password": number})
    assert str(number) not in repr(hidden)
    assert hidden == {"sip_password": Secret(str(number))}
    assert json.loads(write_json(hidden)) == {"sip_password": number}


@pytest.mark.parametrize("value", [b"needle", bytearray(b"needle")])
def test_bytes_behind_a_credentials_name_are_hidden_and_not_sent(value: object) -> None:
    hidden = redact({"sip_password": [value], "plain": b"p"})
    assert "needle" not in repr(hidden)
    assert hidden["plain"] == b"p"
    with pytest.raises(UsageError, match="an object of type bytes in it"):
        write_json({"a": hidden["sip_password"]})


class Figure(float):
    def __repr__(self) -> str:
        return "Figure()"


def test_a_number_of_a_subclass_keeps_its_value() -> None:
    assert SecretNumber(Figure(1.5)).number() == 1.5


@pytest.mark.parametrize("value", [None, True, False])
def test_what_is_no_text_and_no_number_is_no_secret(value: object) -> None:
    assert redact({"sip_password": value}) == {"sip_password": value}


def test_all_inside_a_credential_is_hidden_and_nothing_beside_it() -> None:
    body = {"credentials": {"sid": "a", "more": [{"pin": 1234}]}, "label": "b", "list": ("c", 5)}
    assert redact(body) == {
        "credentials": {"sid": Secret("a"), "more": [{"pin": Secret("1234")}]},
        "label": "b",
        "list": ["c", 5],
    }


@pytest.mark.parametrize(
    ("value", "hidden"),
    [("x", Secret("x")), (Secret("x"), Secret("x")), (None, None), (["x"], [Secret("x")])],
)
def test_a_credential_is_a_secret_whatever_it_came_as(value: Any, hidden: object) -> None:
    assert as_secret(value) == hidden


def test_a_credential_pattern_takes_no_time_over_a_name_of_any_length() -> None:
    for name in ("api" * 50_000, "token_" * 50_000, "-" * 100_000, "_at" * 50_000 + "!"):
        CREDENTIAL.search(name)


@pytest.mark.parametrize("text", ["{} and {}", '"{}" "{}"'])
def test_a_redactor_masks_the_longest_secret_first(text: str) -> None:
    masked = Redactor([Secret("abc"), Secret("abcdef"), Secret("")]).text(
        text.format("abc", "abcdef")
    )
    assert masked == text.format("**********", "**********")


@pytest.mark.parametrize("spell", [json.dumps, repr, quote, lambda text: quote(text, safe="")])
def test_a_redactor_knows_every_spelling(spell: Callable[[str], str]) -> None:
    secret = "pä/ss\"'\\w?rd"
    assert "rd" not in Redactor([Secret(secret)]).text(spell(secret))


def test_an_error_is_masked_before_it_is_cut() -> None:
    shown = Redactor([Secret("sk_live_SECRET")]).error(RuntimeError("x" * 480 + "sk_live_SECRET"))
    assert "SECR" not in shown
    assert shown.startswith("RuntimeError: xxx")


@pytest.mark.parametrize(
    ("error", "shown"), [(ValueError("a\nb"), "ValueError: a"), (ValueError(), "ValueError")]
)
def test_an_error_is_its_class_and_its_first_line(error: Exception, shown: str) -> None:
    assert Redactor().error(error) == shown


def test_foreign_text_becomes_one_line() -> None:
    assert sanitize("a\nb\x1b[2J") == "a b [2J"
    assert sanitize("a\nb", "·") == "a·b"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://user:p%40ss@host/name", {"p%40ss", "p@ss"}),
        ("redis://:pw@host:6379/0", {"pw"}),
        (
            "postgresql://host/name?user=u&password=pw&sslpassword=key&sslmode=require",
            {"pw", "key"},
        ),
        ("sqlite:///calls.db", set()),
        ("postgresql://[user:pw@host", {"postgresql://[user:pw@host"}),
    ],
)
def test_the_secrets_of_a_url_are_found_as_they_are_written_and_as_they_are_meant(
    url: str, found: set[str]
) -> None:
    assert {secret.reveal() for secret in url_secrets(Secret(url))} == found


def test_a_url_without_its_password_is_the_same_whichever_spelling_is_looked_for_first() -> None:
    url = Secret("postgresql://u:hunter2%25@h/d")
    masked = Redactor(url_secrets(url)).text(url.reveal())
    assert masked == "postgresql://u:**********@h/d"


def test_a_number_of_thousands_of_digits_is_left_to_be_refused() -> None:
    with pytest.raises(UsageError, match="digits"):
        write_json(redact({"password": 10**5000}))


def test_a_request_that_holds_itself_is_refused() -> None:
    body: dict[str, Any] = {}
    body["a"] = [body]
    with pytest.raises(UsageError, match="holds itself"):
        redact_request(body)


def test_a_hidden_number_that_was_pickled_has_lost_it() -> None:
    copy = pickle.loads(pickle.dumps(SecretNumber(12345678)))
    assert isinstance(copy, Secret)
    with pytest.raises(ValueError, match="pickle"):
        copy.reveal()
