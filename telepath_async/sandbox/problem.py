"""The one exception that becomes an error answer.

How it is written down is the dialect's affair.
"""

from collections.abc import Mapping
from http.client import responses

# As Python 3.13 and RFC 9110 name them; Python 3.11 has the names before.
_NEW_NAMES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


class ApiProblem(Exception):
    """A refusal of the API: an HTTP status, a lower-case code and a message."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def invalid_params(message: str) -> ApiProblem:
    """A 400 that no page gives a code of its own."""
    return ApiProblem(400, "invalid_params", message)


def plain_problem(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> ApiProblem:
    """A problem whose code is the status's own name, such as `service_unavailable`."""
    name = _NEW_NAMES.get(status) or responses.get(status, "Error")
    code = name.lower().replace(" ", "_")
    return ApiProblem(status, code, message, headers)
