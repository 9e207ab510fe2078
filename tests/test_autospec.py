"""`unittest.mock.create_autospec(TelepathClient)` knows the resources and their methods."""

from __future__ import annotations

from typing import Any
from unittest.mock import create_autospec

import pytest

from telepath_async import TelepathClient, Trunk

RESOURCES = {
    "trunks": ("list", "find", "create", "create_many", "update", "rotate_sip_password"),
    "calls": ("list", "get"),
    "analytics": ("overview",),
    "numbers": ("update",),
}

WAYS = {
    "class": lambda: create_autospec(TelepathClient)("sk_live_x"),
    "instance": lambda: create_autospec(TelepathClient, instance=True),
    "object": lambda: create_autospec(TelepathClient("sk_live_x")),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def mock(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_it_has_every_method_and_no_other(mock: Any) -> None:
    for resource, methods in RESOURCES.items():
        for method in methods:
            assert callable(getattr(getattr(mock, resource), method))
        with pytest.raises(AttributeError):
            getattr(mock, resource).misspelt()


async def test_calls_are_awaited_and_their_arguments_checked(mock: Any) -> None:
    mock.trunks.find.return_value = Trunk(id="conn_1")
    assert (await mock.trunks.find("desk")).id == "conn_1"
    mock.trunks.find.assert_awaited_once_with("desk")
    with pytest.raises(TypeError):
        await mock.trunks.find()
    with pytest.raises(TypeError):
        mock.trunks.list(misspelt=1)


def test_every_client_has_resources_of_its_own() -> None:
    one, other = TelepathClient("sk_live_x"), TelepathClient("sk_live_y")
    for resource in RESOURCES:
        assert len({id(getattr(it, resource)) for it in (one, other, TelepathClient)}) == 3
