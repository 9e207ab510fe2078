"""What a refusal becomes: the class by status, the words by body, and never a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from multidict import CIMultiDict

from telepath_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProviderCredentialsError,
    RateLimitError,
    ServerError,
)
from telepath_async.protocol.messages import Response
from telepath_async.protocol.refusals import refusal
from telepath_async.secret import Secret


def refused(
    status: int,
    body: object = b"",
    *,
    secrets: tuple[str, ...] = (),
    headers: dict[str, str] | None = None,
) -> APIError:
    response = Response(
        status=status,
        headers=CIMultiDict(headers or {}),
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        endpoint="POST /trunks",
    )
    return refusal(response, secrets=map(Secret, secrets), wall_clock=0.0)


def error(**fields: Any) -> dict[str, Any]:
    return {"error": fields}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, BadRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
        (307, APIError),
        (408, APIError),
        (413, APIError),
    ],
)
def test_the_status_names_the_class(status: int, kind: type[APIError]) -> None:
    failure = refused(status)
    assert type(failure) is kind
    assert failure.status == status


@pytest.mark.parametrize("code", ["invalid_provider_credentials", "INVALID_PROVIDER_CREDENTIALS"])
def test_a_401_about_the_providers_key_is_told_apart(code: str) -> None:
    assert type(refused(401, error(code=code))) is ProviderCredentialsError


def test_the_providers_code_on_another_status_changes_nothing() -> None:
    assert type(refused(400, error(code="invalid_provider_credentials"))) is BadRequestError


def test_code_message_and_request_id_are_shown_with_what_to_do() -> None:
    failure = refused(
        404, error(code="TRUNK_NOT_FOUND", message="No trunk"), headers={"x-request-id": "req_1"}
    )
    assert (failure.code, failure.message, failure.request_id) == (
        "trunk_not_found",
        "No trunk",
        "req_1",
    )
    assert str(failure) == (
        "404 trunk_not_found: No trunk [request req_1]; check the id, and that the key "
        "belongs to the same account"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (error(message="No"), "No"),
        ({"error": "No"}, "No"),
        ({"message": "No"}, "No"),
        ({"detail": "No"}, "No"),
        ({"error": {"detail": "No"}}, "No"),
        (
            {
                "detail": [
                    {"loc": ["query", "phone_number"], "msg": "field required"},
                    {"msg": "bad"},
                    "noise",
                ]
            },
            "query.phone_number: field required; : bad",
        ),
        (error(message="two\nlines\x1b[0m"), "two lines [0m"),
    ],
)
def test_the_message_is_found_in_every_shape_of_error_as_one_line(
    body: object, message: str
) -> None:
    assert refused(422, body).message == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"\xff",
        b"[" * 100_000,
        [],
        "text",
        {},
        {"error": None},
        {"error": [1]},
        error(code=5, message={"a": 1}),
        error(message="  "),
    ],
    ids=lambda body: repr(body)[:20],
)
def test_a_body_without_words_gives_a_plain_reason_and_no_code(body: object) -> None:
    failure = refused(502, body)
    assert failure.message == "POST /trunks failed, and the answer gives no reason"
    assert failure.code is None


def test_a_redirect_says_that_it_is_never_followed() -> None:
    assert (
        "never followed: check the base URL"
        in refused(307, headers={"Location": "http://elsewhere/"}).message
    )


def test_a_message_is_cut_at_500_characters() -> None:
    assert len(refused(400, error(message="x" * 10_000)).message) == 500


def test_secrets_that_the_server_echoes_are_masked_everywhere() -> None:
    failure = refused(
        400,
        error(code="bad_S3CRET", message="password S3CRET is weak"),
        secrets=("S3CRET",),
        headers={"X-Request-Id": "req_S3CRET", "X-Echo": "Bearer S3CRET"},
    )
    assert "S3CRET" not in f"{failure} {failure!r} {vars(failure)}".upper()
    assert failure.message == "password ********** is weak"


def test_a_secret_that_begins_with_another_leaves_no_tail_behind() -> None:
    assert (
        refused(400, error(message="got abcdef"), secrets=("abc", "abcdef")).message
        == "got **********"
    )


def test_a_secret_is_masked_before_the_message_is_cut() -> None:
    failure = refused(400, error(message="x" * 497 + "S3CRET"), secrets=("S3CRET",))
    assert "S3C" not in failure.message


def test_an_empty_secret_masks_nothing() -> None:
    assert refused(400, error(message="No"), secrets=("",)).message == "No"


def test_cookies_stay_out_of_the_headers() -> None:
    assert refused(400, headers={"Set-Cookie": "session=1", "X-Other": "2"}).headers == {
        "X-Other": "2"
    }


def test_retry_after_is_told_in_seconds() -> None:
    assert refused(429, headers={"Retry-After": "7"}).retry_after == 7.0
