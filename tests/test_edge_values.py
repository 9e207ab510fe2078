"""What the edges hand out is made of attrs classes: all that attrs and cattrs offer works."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs
import cattrs
import pytest
from cattrs.strategies import configure_union_passthrough

from telepath_async import AnalyticsOverview, Secret, UsageError, export, jobs, sync, worker
from telepath_async.jobs.alerts import Standing
from telepath_async.worker.accounts import Job, RotatePlan, SyncPlan, WatchPlan
from telepath_async.worker.status import JobStatus

AT: Final = datetime(2026, 6, 1, tzinfo=UTC)
THRESHOLD: Final = jobs.Threshold("success_rate", 95.0, for_at_least=timedelta(minutes=5))
ALERT: Final = jobs.LatencyAlert(
    kind="crossed",
    threshold=THRESHOLD,
    value=90.0,
    since=AT,
    at=AT,
    overview=AnalyticsOverview(success_rate=90.0),
)
UNROTATED: Final = jobs.UnrotatedTrunk(trunk_id="t", sip_username="u", why="w")
PLANNED: Final = jobs.ProvisionedTrunk(
    state="planned", sip_username="u", sip_password=Secret("needle")
)
SYNC: Final = SyncPlan(cron="@daily", database_url=Secret("needle"), since=AT, partitions=2)
WATCH: Final = WatchPlan(cron="@daily", thresholds=(THRESHOLD,), command=("page", "voice"))
ROTATE: Final = RotatePlan(cron="@daily", journal="/journal", command=("tell",))
ACCOUNT: Final = worker.Account(
    name="a", api_key=Secret("needle"), key_id="1f", sync=SYNC, watch=WATCH, rotate=ROTATE
)
STATUS: Final = JobStatus(account="a", job="sync", plan="p", next_run=AT, seconds=1.5)

VALUES: Final[list[Any]] = [
    sync.SyncReport(
        inserted=1, updated=2, unchanged=3, pages=4, seconds=1.5, watermark=AT, uncertain=0
    ),
    sync.SyncProgress(rows=1, total=None, pages=1, seconds=0.5, watermark=None),
    export.ExportReport(path=Path("calls.csv"), rows=1, bytes=10, seconds=0.5, uncertain=0),
    export.ExportProgress(rows=1, total=2, seconds=0.5),
    THRESHOLD,
    Standing(firing=True, since=AT),
    ALERT,
    jobs.LatencyPoll(at=AT, state="{}", alerts=(ALERT,), overview=ALERT.overview),
    UNROTATED,
    jobs.RotationReport(
        rotated=("a",), applied=("a",), pending=(UNROTATED,), untouched=(), recent=("b",)
    ),
    PLANNED,
    jobs.ProvisionReport(trunks=(PLANNED,)),
    SYNC,
    WATCH,
    ROTATE,
    ACCOUNT,
    worker.Accounts(accounts=(ACCOUNT,), secret_variables=frozenset({"KEY"})),
    Job(ACCOUNT, "sync"),
    STATUS,
    worker.JobReport(STATUS, "waiting"),
    worker.BrokerUrl(redis=Secret("needle")),
    worker.WorkerOptions(limiter_redis=Secret("needle"), web=8080),
    worker.HealthOptions(port=9090),
]

each_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


def plain_converter() -> cattrs.Converter:
    """A converter such as a user makes: what cattrs does not know is left as it is."""
    converter = cattrs.Converter()
    for kind in (datetime, timedelta, Secret, Exception):
        converter.register_structure_hook(kind, lambda value, _: value)
    configure_union_passthrough(int | float | None, converter)
    return converter


@pytest.mark.parametrize("room", [sync, export, jobs, worker], ids=lambda room: room.__name__)
def test_every_value_that_a_room_hands_out_is_tested_here(room: ModuleType) -> None:
    public = {getattr(room, name) for name in room.__all__}
    handed_out = {kind for kind in public if inspect.isclass(kind) and attrs.has(kind)}
    assert handed_out
    assert handed_out <= {type(value) for value in VALUES}


@each_value
def test_a_value_is_frozen_equal_to_its_copies_and_hashable(value: Any) -> None:
    changed = attrs.evolve(value)
    for other in (changed, copy.copy(value), copy.deepcopy(value)):
        assert other == value
        assert hash(other) == hash(value)
    name = attrs.fields(type(value))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, None)


@each_value
def test_a_value_is_a_dict_of_its_fields(value: Any) -> None:
    names = {field.name for field in attrs.fields(type(value))}
    assert attrs.asdict(value).keys() == names
    assert type(value)(**attrs.asdict(value, recurse=False)) == value


@each_value
def test_a_value_crosses_to_another_process_without_its_secrets(value: Any) -> None:
    pickled = pickle.dumps(value)
    assert b"needle" not in pickled
    assert repr(pickle.loads(pickled)) == repr(value)


@each_value
def test_a_users_own_converter_takes_a_value_apart_and_together(value: Any) -> None:
    converter = plain_converter()
    assert converter.structure(converter.unstructure(value), type(value)) == value


@each_value
def test_no_secret_shows_in_a_repr(value: Any) -> None:
    assert "needle" not in repr(value)


def test_evolving_checks_the_new_value() -> None:
    assert attrs.evolve(THRESHOLD, limit=90.0).limit == 90.0
    with pytest.raises(UsageError, match="limit must be a number from 0"):
        attrs.evolve(THRESHOLD, limit=-1.0)
