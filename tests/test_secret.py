"""A Secret shows itself nowhere but in reveal()."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest

from telepath_async.secret import Secret

SECRET = Secret("needle")


def test_reveal_returns_the_value() -> None:
    assert SECRET.reveal() == "needle"


@pytest.mark.parametrize(
    "shown",
    [
        str(SECRET),
        repr(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>30}",
        f"{SECRET:>20}",
        "%s" % SECRET,  # noqa: UP031
        str([SECRET]),
        ascii(SECRET),
    ],
)
def test_every_way_to_print_it_shows_a_mask(shown: str) -> None:
    assert "**********" in shown
    assert "needle" not in shown


def test_a_format_width_applies_to_the_mask() -> None:
    assert f"{SECRET:>12}" == "  **********"


def test_logging_shows_a_mask(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("somebody").warning("password %s", SECRET)
    assert caplog.messages == ["password **********"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_leaves_the_value_behind(protocol: int) -> None:
    stored = pickle.dumps(SECRET, protocol)
    assert b"needle" not in stored
    assert str(pickle.loads(stored)) == "**********"


def test_a_secret_out_of_a_pickle_never_becomes_somebodys_password() -> None:
    with pytest.raises(ValueError, match="came out of a pickle"):
        pickle.loads(pickle.dumps(SECRET)).reveal()


def test_secrets_out_of_pickles_are_not_equal_because_nobody_knows_what_they_were() -> None:
    one, other = pickle.loads(pickle.dumps((Secret("x"), Secret("y"))))
    assert one != other
    assert one == one
    assert one != Secret("x")


@pytest.mark.parametrize(
    "copied", [copy.copy(SECRET), copy.deepcopy(SECRET), copy.deepcopy([SECRET])[0]]
)
def test_a_copy_keeps_the_value(copied: Secret) -> None:
    assert copied.reveal() == "needle"


def test_secrets_are_equal_and_hash_alike_when_their_values_are() -> None:
    assert Secret("needle") == Secret("needle")
    assert len({SECRET, Secret("needle"), Secret("other")}) == 2


def test_a_secret_never_equals_a_plain_string() -> None:
    assert SECRET != "needle"


@pytest.mark.parametrize("value", [None, 5, b"needle", SECRET])
def test_only_text_can_be_a_secret(value: object) -> None:
    with pytest.raises(TypeError, match="Secret holds a str"):
        Secret(value)  # type: ignore[arg-type]


def test_a_secret_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        SECRET.value = "other"
    with pytest.raises(AttributeError, match="cannot be changed"):
        del SECRET.value
    assert SECRET.reveal() == "needle"


def test_a_secret_has_no_dict_to_look_into() -> None:
    assert not hasattr(SECRET, "__dict__")
