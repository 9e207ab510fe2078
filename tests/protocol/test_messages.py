"""`Request` and `Response`: what they show, and what they never do."""

from __future__ import annotations

import copy
import pickle
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from telepath_async.protocol.messages import Request, Response
from telepath_async.secret import Secret


def answer(body: bytes, status: int = 200) -> Response:
    return Response(status=status, headers=CIMultiDict(), body=body, endpoint="GET /things")


def request(**fields: Any) -> Request:
    return Request(**{"method": "GET", "path": "/calls/a%20b", "template": "/calls/{id}", **fields})


def test_the_target_is_path_and_query_encoded() -> None:
    target = request(query=(("phone number", "+1 5"), ("x", "ü&="))).target
    assert target == "/calls/a%20b?phone%20number=%2B1%205&x=%C3%BC%26%3D"
    assert request().target == "/calls/a%20b"


def test_the_endpoint_names_the_template_and_no_id() -> None:
    assert request().endpoint == "GET /calls/{id}"


def test_the_reprs_show_no_path_query_headers_body_or_secret() -> None:
    shown = repr(
        request(
            query=(("q", "needle"),), body=b"needle", path="/needle", secrets=(Secret("needle"),)
        )
    )
    assert "needle" not in shown
    response = Response(status=200, headers={"X": "needle"}, body=b"needle", endpoint="GET /x")
    assert "needle" not in repr(response)


def test_a_pickle_of_a_response_leaves_headers_and_body_behind_and_a_copy_does_not() -> None:
    headers = CIMultiDictProxy(CIMultiDict({"X": "needle"}))  # a view, as aiohttp has it
    response = Response(status=200, headers=headers, body=b"needle", endpoint="GET /x")
    pickled = pickle.dumps(response)
    again = pickle.loads(pickled)
    assert b"needle" not in pickled
    assert (again.status, again.body, again.request_id) == (200, b"", None)
    assert copy.deepcopy(response) == copy.copy(response) == response


def test_the_request_id_is_found_in_any_case() -> None:
    response = Response(
        status=200, headers=CIMultiDict({"x-request-ID": "req_1"}), body=b"", endpoint="GET /x"
    )
    assert response.request_id == "req_1"


def test_a_response_reads_its_own_json() -> None:
    assert answer(b'{"a": [1]}').json() == {"a": [1]}
