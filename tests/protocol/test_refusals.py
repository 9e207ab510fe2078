"""What a refusal becomes: the class by status, the words by body, and never a secret."""

from __future__ import annotations

import json
import pickle
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
from telepath_async.protocol.refusals import api_error
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
    return api_error(response, secrets=map(Secret, secrets), wall_clock=0.0)


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
    assert type(refused(400, error(code=code))) is BadRequestError


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


CDN_PAGE = b"""<!DOCTYPE html><html lang="en"><head>
<title>Access denied &amp; logged
 | cdn.example</title></head><body><h1>403</h1>secret-value-1</body></html>"""


def test_a_gateways_page_is_not_the_apis_word_and_is_readable() -> None:
    failure = refused(403, CDN_PAGE, secrets=("secret-value-1",))
    assert isinstance(failure, PermissionDeniedError)
    assert failure.message == (
        "POST /trunks got a page that is not the API's: 'Access denied & logged | cdn.example'"
    )
    assert "use a key with the scope" not in str(failure)
    assert "`.raw` holds its page; check base_url, proxy and network" in str(failure)
    assert failure.raw == CDN_PAGE.replace(b"secret-value-1", b"**********")
    assert pickle.loads(pickle.dumps(failure)).raw == b""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><head><title>502 Bad Gateway</title></head>", "'502 Bad Gateway'"),
        (b"\r\n <html><h1>Bad <b>gateway</b></h1></html>", "'Bad gateway'"),
        (b"<TITLE>x</TITLE>" + b"y" * 100_000, "'x'"),
        (b"<html></html>", "no text"),
        (b"<title>" + b"x" * 1000 + b"</title>", "'" + "x" * 120 + "'"),
        (b"<title>a\x1b[31m\nb</title>", "'a [31m b'"),
    ],
)
def test_the_title_of_a_page_or_its_first_words_are_told_in_one_line(
    body: bytes, words: str
) -> None:
    failure = refused(502, body)
    assert failure.message == f"POST /trunks got a page that is not the API's: {words}"
    assert "try again later" in str(failure)
    assert failure.raw == body


def test_plain_text_keeps_the_hint_of_its_status() -> None:
    failure = refused(401, b"Unauthorized: no such key")
    assert failure.message == (
        "POST /trunks failed, and the answer gives 'Unauthorized: no such key'"
    )
    assert "check TELEPATH_API_KEY" in str(failure)
    assert failure.raw == b"Unauthorized: no such key"


def test_the_apis_own_words_are_in_the_message_and_not_in_raw() -> None:
    assert refused(400, error(code="x", message="y")).raw == b""


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


def test_a_secret_is_masked_before_the_message_is_cut() -> None:
    failure = refused(400, error(message="x" * 497 + "S3CRET"), secrets=("S3CRET",))
    assert "S3C" not in failure.message


def test_cookies_stay_out_of_the_headers() -> None:
    assert refused(400, headers={"Set-Cookie": "session=1", "X-Other": "2"}).headers == {
        "X-Other": "2"
    }


def test_retry_after_is_told_in_seconds() -> None:
    assert refused(429, headers={"Retry-After": "7"}).retry_after == 7.0
