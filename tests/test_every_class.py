"""Every class of values that users see is an attrs class, and works as one.

The classes are found, not listed: in the modules of the models, and in each `__all__`.
"""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

import attrs
import pytest
from cattrs import Converter
from cattrs.preconf.json import JsonConverter, make_converter
from cattrs.strategies import configure_union_passthrough

import telepath_async
from telepath_async import Secret, Trunk, UsageError, to_dict
from telepath_async.jobs import Threshold
from telepath_async.jobs.alerts import Standing
from telepath_async.worker.accounts import Job, RotatePlan, SyncPlan, WatchPlan
from telepath_async.worker.status import JobStatus

MODELS: Final = "telepath_async.models."
EDGES: Final = ("export", "jobs", "sync", "worker")


def _found() -> Iterator[type[Any]]:
    for info in pkgutil.walk_packages(telepath_async.__path__, "telepath_async."):
        if info.name.endswith(".__main__") or ".sandbox" in info.name:  # that stands for a server
            continue
        module = importlib.import_module(info.name)
        public = vars(module) if info.name.startswith(MODELS) else getattr(module, "__all__", ())
        yield from (vars(module)[name] for name in public)
    yield from (vars(telepath_async)[name] for name in telepath_async.__all__)
    # What the classes of the edges hold, and what stands in files and queues.
    yield from (Job, JobStatus, RotatePlan, Standing, SyncPlan, WatchPlan)


CLASSES: Final = sorted(
    {kind for kind in _found() if isinstance(kind, type) and attrs.has(kind)},
    key=lambda kind: f"{kind.__module__}.{kind.__name__}",
)

ERROR: Final = UsageError("no")  # errors are equal to themselves alone

# What no rule can guess.
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "RetryPolicy": {},
    "Threshold": {"metric": "success_rate", "limit": 95.0},
    "TrunkSpec": {
        "name": "Sales",
        "ai_provider": "openai",
        "sip_username": "sales-01",
        "sip_password": Secret("needle-password"),
        "openai_api_key": Secret("needle-key"),
        "extra": {"new": 1},
    },
    "Address": {"behind_proxy": "https://calls.example.com"},
    "DashboardOptions": {"jobs": None},
    "BrokerUrl": {"redis": Secret("redis://:needle@host"), "postgres": None},
}

SIMPLE: Final[dict[Any, Any]] = {
    str: "x",
    int: 1,
    float: 1.5,
    bool: True,
    bytes: b"{}",
    datetime: datetime(2026, 3, 10, 12, tzinfo=UTC),
    timedelta: timedelta(minutes=1),
    Path: Path("x"),
    Secret: Secret("needle"),
    object: 1,
    Any: {"a": [1, None]},
    NoneType: None,
}


def made(kind: Any) -> Any:
    """Return an object of a class, with a value in each of its fields."""
    attrs.resolve_types(kind)
    given = FIELDS.get(kind.__name__, {})
    if kind.__name__ in ("RetryPolicy", "Threshold", "TrunkSpec"):
        return kind(**given)
    fields = [field for field in attrs.fields(kind) if field.init and field.name not in given]
    return kind(**{field.alias: value_of(field.type) for field in fields}, **given)


def value_of(kind: Any) -> Any:
    """Return a value of a type as a field names it."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, parts = get_origin(kind), get_args(kind)
    if isinstance(kind, TypeVar):
        return made(Trunk)
    if origin is Literal:
        return parts[0]
    if origin in (Union, UnionType):
        return value_of(parts[0])
    if origin is tuple:
        return (value_of(parts[0]),)
    if origin in (list, Sequence):
        return [value_of(parts[0])]
    if origin in (dict, Mapping):
        return {"new": value_of(parts[1])}
    if attrs.has(kind):
        return made(kind)
    if origin is frozenset:
        return frozenset({value_of(parts[0])})
    if issubclass(kind, Exception):
        return ERROR
    assert issubclass(kind, Enum), kind
    return next(iter(kind))


def is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def their_own(converter: JsonConverter) -> JsonConverter:
    """Return a converter as users set one up: ids or objects, and their own form of a secret."""
    converter.register_unstructure_hook(Secret, Secret.reveal)
    converter.register_structure_hook(Secret, lambda text, _: Secret(text))
    converter.register_structure_hook(dict[str, Any] | list[Any], lambda value, _: value)
    return converter


def test_there_is_a_class_of_each_kind() -> None:
    names = {kind.__name__ for kind in CLASSES}
    assert {
        "Trunk", "Page", "RejectedRow", "Drift", "ResponseReceived", "RetryPolicy", "TrunkSpec",
        "PromptTemplate", "SyncReport", "ExportProgress", "RotationReport", "Threshold",
    } <= names  # fmt: skip


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
class TestEveryClass:
    def test_is_taken_by_asdict(self, kind: type[Any]) -> None:
        assert [*attrs.asdict(made(kind))] == [field.name for field in attrs.fields(kind)]

    def test_names_its_fields_and_their_types(self, kind: type[Any]) -> None:
        fields = attrs.fields(attrs.resolve_types(kind))
        assert fields
        assert not [field.name for field in fields if isinstance(field.type, str | None)]

    def test_is_evolved_field_by_field(self, kind: type[Any]) -> None:
        original = made(kind)
        assert attrs.evolve(original) == copy.copy(original) == original
        for field in attrs.fields(kind):
            if field.init:
                same = attrs.evolve(original, **{field.alias: getattr(original, field.name)})
                assert same == original

    def test_cannot_be_changed_but_for_drift_which_counts(self, kind: type[Any]) -> None:
        name = attrs.fields(kind)[0].name
        if kind is telepath_async.Drift:
            return
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(made(kind), name, None)

    def test_is_hashed_by_its_value_where_its_values_have_a_hash(self, kind: type[Any]) -> None:
        hashed = [field for field in attrs.fields(kind) if field.hash or field.hash is None]
        allowed = all(is_hashable(getattr(made(kind), field.name)) for field in hashed)
        frozen = kind is not telepath_async.Drift
        assert is_hashable(made(kind)) is (allowed and frozen)
        if allowed and frozen:
            assert {made(kind): 1}[made(kind)] == 1

    def test_survives_a_pickle_and_leaves_its_secrets_behind(self, kind: type[Any]) -> None:
        pickled = pickle.dumps(made(kind))
        assert b"needle" not in pickled
        again = pickle.loads(pickled)
        assert type(again) is kind
        if "needle" not in repr(attrs.asdict(made(kind), value_serializer=shown)):
            assert repr(again) == repr(made(kind))

    def test_hides_its_secrets_in_its_repr_and_its_json(self, kind: type[Any]) -> None:
        plain = to_dict(made(kind))
        assert json.loads(json.dumps(plain)) == plain
        assert "needle" not in json.dumps(plain)
        assert "needle" not in repr(made(kind))

    def test_is_unstructured_by_a_converter_of_its_user(self, kind: type[Any]) -> None:
        plain = Converter().unstructure(made(kind))
        assert [*plain] == [field.name for field in attrs.fields(kind)]


def shown(instance: object, field: object, value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


STRUCTURED: Final = [kind for kind in CLASSES if kind.__module__.startswith(MODELS)]


@pytest.mark.parametrize("kind", STRUCTURED, ids=lambda kind: kind.__name__)
def test_a_users_converter_writes_a_model_and_reads_it_again(kind: type[Any]) -> None:
    converter = their_own(make_converter())
    text = converter.dumps(made(kind))
    assert converter.loads(text, kind) == made(kind)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in CLASSES if kind.__module__.split(".")[1] in EDGES],
    ids=lambda kind: kind.__name__,
)
def test_a_users_converter_takes_a_value_of_an_edge_apart_and_together(kind: type[Any]) -> None:
    converter = Converter()
    for left_as_it_is in (datetime, timedelta, Secret, Exception):
        converter.register_structure_hook(left_as_it_is, lambda value, _: value)
    configure_union_passthrough(int | float | None, converter)
    assert converter.structure(converter.unstructure(made(kind)), kind) == made(kind)


def test_evolving_checks_the_new_value() -> None:
    with pytest.raises(UsageError, match="limit must be a number from 0"):
        attrs.evolve(made(Threshold), limit=-1.0)
