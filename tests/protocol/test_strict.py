"""Strict structuring: a value of another type is a fault with a path, and never something else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, NewType

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import Secret
from telepath_async.protocol.strict import (
    STRUCTURE_ERRORS,
    faults,
    strict_converter,
    structure_json,
)

Cron = NewType("Cron", str)


@frozen(kw_only=True)
class Inner:
    """What stands in a list, a dict and itself."""

    number: int
    nested: Inner | None = None


@frozen(kw_only=True)
class Outer:
    """A field of each kind."""

    text: str = ""
    number: int = 0
    rate: float = 0.0
    either: int | float | None = None
    flag: bool = False
    nothing: None = None
    words: list[str] = field(factory=list)
    rates: tuple[float, ...] = ()
    inner: dict[str, Inner] = field(factory=dict)
    inners: list[Inner] = field(factory=list)
    level: Literal["low", 1] | None = None
    at: datetime | None = None
    password: Secret | None = None
    cron: Cron = Cron("")
    anything: Any = None


def faults_of(value: object, **options: bool) -> list[tuple[str, str]]:
    with pytest.raises(STRUCTURE_ERRORS) as raised:
        strict_converter(**options).structure(value, Outer)
    return faults(raised.value)


def structured(**fields: object) -> Outer:
    return strict_converter().structure(fields, Outer)


def test_a_value_of_each_kind_is_taken_as_it_is() -> None:
    fields = {
        "text": "a", "number": 1, "rate": 1.5, "either": 2, "flag": True, "nothing": None,
        "words": ["b"], "rates": [0.5], "inner": {"k": {"number": 1}},
        "inners": [{"number": 2, "nested": {"number": 3}}], "level": 1,
        "at": "2026-01-31T01:00:00+01:00", "password": "pw", "cron": "@daily", "anything": [{}],
    }  # fmt: skip
    assert structured(**fields) == Outer(
        text="a", number=1, rate=1.5, either=2, flag=True, words=["b"], rates=(0.5,),
        inner={"k": Inner(number=1)}, inners=[Inner(number=2, nested=Inner(number=3))], level=1,
        at=datetime(2026, 1, 31, tzinfo=UTC), password=Secret("pw"), cron=Cron("@daily"),
        anything=[{}],
    )  # fmt: skip


def test_a_whole_number_is_a_float_where_only_a_float_is_expected() -> None:
    value = structured(rate=1, either=1, rates=[1])
    assert (type(value.rate), type(value.either), type(value.rates[0])) == (float, int, float)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("text", 5, "expected str, got int"),
        ("text", None, "expected str, got null"),
        ("number", "5", "expected int, got str"),
        ("number", True, "expected int, got bool"),
        ("number", 5.0, "expected int, got float"),
        ("rate", "1.5", "expected float, got str"),
        ("rate", True, "expected float, got bool"),
        ("rate", float("nan"), "expected a finite number"),
        ("either", float("inf"), "expected a finite number"),
        ("either", "5", "expected int | float, got str"),
        ("flag", 1, "expected bool, got int"),
        ("nothing", 0, "expected null, got int"),
        ("words", "abc", "expected array, got str"),
        ("words", {"a": 1}, "expected array, got object"),
        ("rates", 5, "expected array, got int"),
        ("inner", [], "expected object, got array"),
        ("inners", None, "expected array, got null"),
        ("level", "high", "expected one of 'low', 1"),
        ("level", True, "expected one of 'low', 1"),
        ("level", ["low"], "expected one of 'low', 1"),
        ("at", 1_767_225_600, "expected datetime, got int"),
        ("at", "yesterday", "expected an ISO 8601 time"),
        ("at", "2026-01-31", "expected an ISO 8601 time, got a date"),
        ("at", "Sat, 31 Jan 2026 00:00:00 GMT", "expected an ISO 8601 time"),
        ("at", "2026-12-31T23:59:60Z", "expected an ISO 8601 time"),
        ("password", 12345, "expected str, got int"),
        ("cron", 5, "expected str, got int"),
    ],
)
def test_a_value_of_another_kind_is_a_fault(name: str, value: object, fault: str) -> None:
    assert faults_of({name: value}) == [(f"$.{name}", fault)]


@given(value=st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary())
@pytest.mark.parametrize("kind", [str, int, bool])
def test_no_plain_value_is_coerced(kind: type, value: object) -> None:
    converter = strict_converter()
    if type(value) is kind:
        assert converter.structure(value, kind) is value
    else:
        with pytest.raises(TypeError):
            converter.structure(value, kind)


def test_all_faults_are_found_at_once_each_with_its_path() -> None:
    value = {
        "inner": {"plain": {}, "two words": {"number": "1"}, "+1.5": 5},
        "inners": [{"number": 1}, {"number": 2, "nested": {"number": None}}],
        "rates": [1, "2"],
    }
    assert faults_of(value) == [
        ("$.rates[1]", "expected float, got str"),
        ("$.inner.plain.number", "it is missing"),
        ("$.inner.'two words'.number", "expected int, got str"),
        ("$.inner.+1.5", "expected object, got int"),
        ("$.inners[1].nested.number", "expected int, got null"),
    ]


def test_a_note_of_another_leaves_the_path_as_it_is() -> None:
    def refuse(value: object, _: object) -> Secret:
        error = ValueError("no")
        error.add_note("of a hook")
        raise error

    converter = strict_converter()
    converter.register_structure_hook(Secret, refuse)
    with pytest.raises(STRUCTURE_ERRORS) as raised:
        converter.structure({"password": "pw"}, Outer)
    assert faults(raised.value) == [("$.password", "no")]


def test_a_path_may_begin_with_the_first_key() -> None:
    with pytest.raises(STRUCTURE_ERRORS) as raised:
        strict_converter().structure({"rates": [1, "2"]}, Outer)
    assert faults(raised.value, "") == [("rates[1]", "expected float, got str")]


@pytest.mark.parametrize("value", [None, 5, "text", [], [1]])
def test_a_value_that_is_no_object_is_one_fault(value: object) -> None:
    (fault,) = faults_of(value)
    assert fault[0] == "$"
    assert fault[1].startswith("expected object, got ")


def test_unknown_keys_are_ignored_or_faults_of_their_own() -> None:
    value = {"txt": 1, "inners": [{"number": 1, "b": 2, "a": 3}]}
    assert strict_converter().structure(value, Outer) == Outer(inners=[Inner(number=1)])
    found = faults_of(value, forbid_extra_keys=True)
    assert [path for path, _ in found] == ["$.inners[0].a", "$.inners[0].b", "$.txt"]
    assert found[0][1] == "there is no such field here; there are nested, number"


def test_no_fault_shows_a_value() -> None:
    names = [item.name for item in Outer.__attrs_attrs__ if item.name != "anything"]
    for value in ("s3cret", ["s3cret"], {"s3cret": 1}, {"number": "s3cret"}):
        found = faults_of(dict.fromkeys([n for n in names if n not in ("text", "cron")], value))
        assert found
        assert "s3cret" not in "".join(text for _, text in found)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T00:00:00Z", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31 00:00:00", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T02:00+02:00", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T00:00:00.123456789Z", datetime(2026, 1, 31, microsecond=123457, tzinfo=UTC)),
        ("2026-01-31t00:00:00.1234564z", datetime(2026, 1, 31, microsecond=123456, tzinfo=UTC)),
    ],
)
def test_a_time_becomes_utc(text: str, moment: datetime) -> None:
    at = structured(at=text).at
    assert at == moment
    assert at is not None
    assert at.tzinfo is UTC


def test_a_time_that_utc_cannot_hold_keeps_its_zone() -> None:
    zone = timezone(timedelta(hours=2))
    assert structured(at="0001-01-01T00:00:00+02:00").at == datetime(1, 1, 1, tzinfo=zone)


def test_what_is_unstructured_is_structured_again_from_its_json() -> None:
    value = Outer(at=datetime(2026, 1, 31, tzinfo=UTC), rates=(0.5,), inner={"k": Inner(number=1)})
    converter = strict_converter()
    text = json.dumps(converter.unstructure(value))
    assert converter.structure(json.loads(text), Outer) == value


def test_a_secret_is_never_unstructured_into_text() -> None:
    assert strict_converter().unstructure(Outer(password=Secret("pw")))["password"] == Secret("pw")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        (
            '{"text": 5, "flag": "s3cret"}',
            "$.text: expected str, got int; $.flag: expected bool, got str",
        ),
    ],
    ids=["empty", "not UTF-8", "deep", "faults"],
)  # fmt: skip
def test_what_json_text_lacks_is_named_and_its_values_are_in_no_frame(
    text: str | bytes, why: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as raised:
        structure_json(strict_converter(), text, Outer)
    assert (raised.value.__context__, raised.value.__cause__) == (None, None)


def test_cattrs_is_imported_by_the_first_converter_and_not_before() -> None:
    script = (
        "import sys, telepath_async.protocol.strict as s; before = 'cattrs' in sys.modules;"
        "s.strict_converter(); print(before, 'cattrs' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]
