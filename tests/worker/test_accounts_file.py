"""Test accounts.toml: all of it is taken over, and all faults are told, without a secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from telepath_async import Secret, UsageError
from telepath_async.jobs import Threshold
from telepath_async.worker import load_accounts
from telepath_async.worker.accounts import RotatePlan, SyncPlan, WatchPlan
from tests.worker.files import WHOLE, load

TWO = """
    [accounts.one]
    api_key_env = "ACME_KEY"
    database_url = "postgresql://127.0.0.1/{one}"
    {first}
    sync.cron = "@daily"
    [accounts.two]
    api_key_env = "{key}"
    database_url = "postgresql://127.0.0.1/{two}"
    {second}
    sync.cron = "@daily"
"""


def faults(folder: Path, text: str, *, distributed: bool = False) -> list[str]:
    with pytest.raises(UsageError) as refused:
        load(folder, text, distributed=distributed)
    return str(refused.value).splitlines()[1:]


def test_a_whole_account_is_read(tmp_path: Path) -> None:
    accounts = load(tmp_path, WHOLE, distributed=True)
    (acme,) = accounts.accounts
    assert (acme.name, acme.host, acme.limit) == ("acme", "voice-1", 3000)
    assert acme.api_key.reveal() == "sk_live_acme"
    assert acme.base_url == "http://127.0.0.1:8080/v1"
    assert acme.sync == SyncPlan(
        cron="*/5 * * * *",
        database_url=Secret("sqlite:///acme.db"),
        since=datetime(2026, 1, 1, tzinfo=UTC),
        partitions=4,
    )
    assert acme.watch == WatchPlan(
        cron="* * * * *",
        thresholds=(
            Threshold("avg_ai_latency_ms", 400),
            Threshold("success_rate", 95, recovery=97, for_at_least=timedelta(seconds=60)),
        ),
        command=("/usr/local/bin/page", "voice"),
        window=timedelta(minutes=10),
    )
    assert acme.rotate == RotatePlan(
        cron="0 3 1 * *",
        journal="/var/lib/telepath/acme.journal",
        command=("/usr/local/bin/tell-carrier",),
    )
    assert accounts.secret_variables == {"ACME_KEY"}


def test_only_what_needs_a_file_is_bound_to_a_host(tmp_path: Path) -> None:
    assert {job.key: job.host for job in load(tmp_path, WHOLE).jobs} == {
        "acme:sync": "voice-1",
        "acme:watch": None,
        "acme:rotate": "voice-1",
    }
    elsewhere = WHOLE.replace("sqlite:///acme.db", "postgresql://127.0.0.1/acme")
    assert {job.key: job.host for job in load(tmp_path, elsewhere).jobs}["acme:sync"] is None


def test_a_key_and_a_database_url_come_from_files_and_variables(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk_live_of_file\n")
    text = f"""
        [accounts.acme]
        api_key_file = "{key}"
        database_url_env = "ACME_DB"
        sync = {{ cron = "@hourly", since = 2026-01-01T01:00:00+01:00 }}
    """
    (acme,) = load(tmp_path, text).accounts
    assert acme.api_key == Secret("sk_live_of_file")
    assert acme.sync is not None
    assert acme.sync.database_url == Secret("postgresql://u:p%40ss@127.0.0.1/acme")
    assert acme.sync.since == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "cron",
    ["@midnight", "@annually", "0 3 1 * *", "*/5,7-9 0-23/2 1,15 JAN-mar mon", " 5  4 * * sun "],
)
def test_a_schedule_of_five_fields_or_a_known_name_is_taken(tmp_path: Path, cron: str) -> None:
    (acme,) = load(tmp_path, WHOLE.replace("*/5 * * * *", cron)).accounts
    assert acme.sync is not None
    assert acme.sync.cron == cron.strip()


def test_how_far_a_sync_looks_back_is_a_span(tmp_path: Path) -> None:
    (acme,) = load(tmp_path, WHOLE.replace("partitions = 4", 'lookback = "6h"')).accounts
    assert acme.sync is not None
    assert acme.sync.lookback == timedelta(hours=6)


def test_white_space_around_keys_and_urls_of_the_environment_and_a_bom_are_no_part_of_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfsk_live_of_file \r\n")
    path = tmp_path / "accounts.toml"
    path.write_bytes(
        b"\xef\xbb\xbf"
        + f"""[accounts.a]
api_key_file = "{tmp_path}/key"
database_url_env = "DB"
base_url = "http://127.0.0.1:8080/v1 "
sync.cron = "@daily"
[accounts.b]
api_key_env = "KEY"
database_url = " sqlite:///b.db"
sync.cron = "@daily"
""".encode()
    )
    environment = {"DB": "sqlite:///calls.db\n", "KEY": " sk_live_acme\n"}
    first, second = load_accounts(path, environment=environment).accounts
    assert (first.api_key.reveal(), first.base_url) == (
        "sk_live_of_file",
        "http://127.0.0.1:8080/v1",
    )
    assert second.api_key.reveal() == "sk_live_acme"
    assert first.sync is not None
    assert second.sync is not None
    assert first.sync.database_url.reveal() == "sqlite:///calls.db"
    assert second.sync.database_url.reveal() == "sqlite:///b.db"


def test_secrets_are_known_in_every_spelling(tmp_path: Path) -> None:
    text = (
        '[accounts.acme]\napi_key_env = "ACME_KEY"\n'
        'database_url_env = "ACME_DB"\nsync.cron = "@daily"'
    )
    found = {secret.reveal() for secret in load(tmp_path, text).secrets()}
    assert found == {"sk_live_acme", "p%40ss", "p@ss"}


def test_the_environment_of_the_process_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk_live_of_process")
    path = tmp_path / "accounts.toml"
    path.write_text(
        '[accounts.a]\napi_key_env = "ACME_KEY"\n'
        'database_url = "sqlite:///a.db"\nsync.cron = "@daily"'
    )
    assert load_accounts(path).accounts[0].api_key == Secret("sk_live_of_process")


# What the table below replaces in WHOLE.
KEY = 'api_key_env = "ACME_KEY"'
BASE = 'base_url = "http://127.0.0.1:8080/v1"'
DATABASE = 'database_url = "sqlite:///acme.db"'
SECONDS = "for_seconds = 60"
EVERY_5 = 'cron = "*/5 * * * *"'
ACME = "[accounts.acme]"
LATENCY = "avg_ai_latency_ms = 400"
COMMAND = 'command = ["/usr/local/bin/page", "voice"]'


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (KEY, "", "api_key_env: give either"),
        (KEY, 'api_key_env = "ACME_KEY"\napi_key_file = "x"', "api_key_env: give either"),
        (KEY, 'api_key_env = "NO_KEY"', "api_key_env: the environment has no variable NO_KEY"),
        (KEY, 'api_key_env = ""', "api_key_env: it must be a text"),
        (BASE, "base_url = 5", "base_url: it must be a text"),
        (KEY, 'api_key_file = "/nowhere"', "api_key_file: /nowhere cannot be read"),
        (KEY, 'api_key_file = "a\\u0000b"', "api_key_file: "),
        (KEY, 'api_key_file = "/dev/null"', "api_key_file: /dev/null is empty"),
        (BASE, 'base_url = "http://far.example"', "base_url: base_url"),
        (DATABASE, "", "database_url: sync needs"),
        (DATABASE, 'database_url = "mysql://h/d"', "database_url: database_url must be"),
        (DATABASE, "database_url = 7", "database_url: database_url must be"),
        (DATABASE, 'database_url_env = "NO_DB"', "database_url_env: the environment"),
        (DATABASE, DATABASE + '\ndatabase_url_env = "ACME_DB"', "database_url: give database_url"),
        ("limit = 3000", "limit = 0", "limit: it must be a whole number from 1"),
        ("limit = 3000", "limit = true", "limit: it must be a whole number from 1"),
        ("limit = 3000", "limt = 3000", "limt: there is no such field here; there are api_key, "),
        (EVERY_5, "", "sync.cron: it must be a schedule"),
        *(
            (EVERY_5, f'cron = "{cron}"', "sync.cron: it must be a schedule")
            for cron in (
                "every day", "0 0 30 2 *", "0 0 3 * * *", "0 0 3 * * * *", "R R * * *",
                "H H * * *", "1, 2 * * *", "@reboot", "60 * * * *",
            )
        ),
        ("since = 2026-01-01", "", "sync.since: partitions divide the time"),
        ("since = 2026-01-01", "since = 2026-01-01T00:00:00", "sync.since: it must be a date"),
        ("since = 2026-01-01", 'since = "2026-01-01"', "sync.since: it must be a date"),
        ("since = 2026-01-01", "since = 9999-01-01", "sync.since: it is in the future"),
        ("partitions = 4", "partitions = 1001", "sync.partitions: it must be a whole number from"),
        (LATENCY, "speed = 4", "watch.thresholds.speed: metric must be one of"),
        (LATENCY, 'avg_ai_latency_ms = "4"', "watch.thresholds.avg_ai_latency_ms: limit must be"),
        (SECONDS, 'for_seconds = "60"', "watch.thresholds.success_rate: for_seconds must"),
        (SECONDS, "fr_seconds = 60", "watch.thresholds.success_rate: it must be a number, or"),
        ("minutes = 10", "minutes = 0", "watch.window_minutes: it must be a whole number"),
        (SECONDS, "for_seconds = -5", "watch.thresholds.success_rate: for_seconds must"),
        (SECONDS, "for_seconds = nan", "watch.thresholds.success_rate: for_seconds must"),
        (SECONDS, "for_seconds = 1e300", "watch.thresholds.success_rate: for_seconds must be"),
        ("limit = 95", "limit = nan", "watch.thresholds.success_rate: limit must be a number"),
        ("limit = 95", "limit = 950", "watch.thresholds.success_rate: limit must be a number"),
        ("limit = 95", "limit = 0.95", "watch.thresholds.success_rate: limit of success_rate must"),
        ("recovery = 97", "recovery = 0.97", "watch.thresholds.success_rate: recovery of success"),
        (EVERY_5, EVERY_5 + "\nlookback = 6", "sync.lookback: it must be a span of time"),
        (EVERY_5, EVERY_5 + '\nlookback = "6 hours"', "sync.lookback: '6 hours' is not a span"),
        (EVERY_5, EVERY_5 + '\nlookback = "9999w"', "sync.lookback: '9999w' is longer than"),
        (COMMAND, 'command = "page voice"', "watch.command: it must be a list"),
        ('journal = "/var/lib/telepath/acme.journal"', "", "rotate.journal: name the file"),
        ("telepath/acme.journal", "telepath/\\u0000", "rotate.journal: journal must be the path"),
        ("acme.rotate]", "acme.rotation]", "rotation: there is no such field here"),
        ("[accounts.acme.watch]", "watch = 5\n[accounts.acme.wat]", "sync.watch: there is no such"),
        (ACME, "[accounts.'a b']\n[accounts.acme]", "accounts.'a b': a name is up to 64 letters"),
        (ACME, "[account]\n[accounts.acme]", "account: there is no such field here; there are"),
        ("limit = 3000", "sync = 5\nlimit = 3000", "it is not TOML: "),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_account_and_field(
    tmp_path: Path, before: str, after: str, fault: str
) -> None:
    assert before in WHOLE
    assert any(
        line.removeprefix("accounts.acme.").startswith(fault)
        for line in faults(tmp_path, WHOLE.replace(before, after, 1))
    )


def test_a_key_in_the_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    found = faults(
        tmp_path, WHOLE.replace('api_key_env = "ACME_KEY"', 'api_key = "sk_live_literal"')
    )
    assert found[0].startswith("accounts.acme.api_key: a secret does not belong into this file")
    assert "sk_live_literal" not in "".join(found)


def test_a_key_that_no_header_can_carry_is_told_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk live\nsecond line")
    found = faults(
        tmp_path,
        f'[accounts.a]\napi_key_file = "{path}"\n'
        'database_url = "sqlite:///a.db"\nsync.cron = "@daily"',
    )
    assert found[0].startswith("accounts.a.api_key_file: api_key")
    assert "second line" not in "".join(found)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = """
        [accounts.one]
        api_key_env = "NO_KEY"
        sync.cron = "never"
        [accounts.two]
        api_key_env = "OTHER_KEY"
        [accounts.three]
        api_key_env = "OTHER_KEY"
        watch = { cron = "@daily", command = [] }
        [accounts]
        four = 4
    """
    assert [line.partition(": ")[0] for line in faults(tmp_path, text)] == [
        "accounts.one.api_key_env", "accounts.one.sync.cron", "accounts.one.database_url",
        "accounts.two.sync", "accounts.three.watch.thresholds", "accounts.three.watch.command",
        "accounts.four",
    ]  # fmt: skip


def test_all_faults_of_one_table_are_told_at_once(tmp_path: Path) -> None:
    bounds = "{ speed = 4, success_rate = { limt = 1 }, avg_ai_latency_ms = -1 }"
    text = f"""
        [accounts.one]
        api_key_env = "ACME_KEY"
        base_url = 5
        limit = 0
        colour = "blue"
        watch = {{ cron = "never", thresholds = {bounds}, window_minutes = true }}
        rotate = 5
    """
    assert faults(tmp_path, text) == [
        "accounts.one.base_url: it must be a text that is not empty",
        "accounts.one.limit: it must be a whole number from 1 to 1000000",
        "accounts.one.watch.cron: it must be a schedule in cron's five fields (UTC), such as "
        "'*/15 * * * *', or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, "
        "@annually",
        "accounts.one.watch.thresholds.speed: metric must be one of avg_ai_latency_ms, "
        "avg_carrier_lag_ms, avg_gateway_processing_ms, success_rate, not 'speed'",
        "accounts.one.watch.thresholds.success_rate: it must be a number, or a table of limit, "
        "recovery and for_seconds",
        "accounts.one.watch.thresholds.avg_ai_latency_ms: limit must be a number from 0, not -1",
        "accounts.one.watch.command: it must be a list of the program and its arguments, such as "
        '["/usr/local/bin/page", "voice"]',
        "accounts.one.watch.window_minutes: it must be a whole number from 1 to 1440",
        "accounts.one.rotate: it must be a table",
        "accounts.one.colour: there is no such field here; there are api_key, api_key_env, "
        "api_key_file, base_url, database_url, database_url_env, host, limit, rotate, sync, watch",
    ]


def test_an_address_of_the_environment_that_cannot_be_used_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEPATH_BASE_URL", "http://far.example")
    (fault,) = faults(tmp_path, WHOLE.replace('base_url = "http://127.0.0.1:8080/v1"', ""))
    assert fault.startswith("accounts.acme.base_url: base_url must be https://")


def test_one_fault_is_counted_as_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"accounts.toml has 1 fault:\n"):
        load(tmp_path, "")


def test_a_fault_keeps_no_secret_in_its_chain(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, WHOLE.replace("limit = 3000", "limit = 0"))
    assert (refused.value.__context__, refused.value.__cause__) == (None, None)


@pytest.mark.parametrize("text", ["", "[accounts]", "accounts = 5"])
def test_a_file_without_accounts_is_refused(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)[-1] == "accounts: there are none; begin with [accounts.NAME]"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the file cannot be read: No such file"):
        load_accounts(tmp_path / "accounts.toml")
    (tmp_path / "accounts.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="the file cannot be read: it is not UTF-8"):
        load_accounts(tmp_path / "accounts.toml")


def test_two_accounts_of_one_key_have_one_limit(tmp_path: Path) -> None:
    text = TWO.format(one="a", two="b", key="ACME_KEY", first="limit = 50", second="limit = 60")
    assert faults(tmp_path, text) == [
        "accounts.two.limit: the key of one is the same, and its limit is 50"
    ]


def test_two_syncs_of_one_key_into_one_database_are_refused(tmp_path: Path) -> None:
    text = TWO.format(one="a", two="a", key="ACME_KEY", first="", second="")
    assert faults(tmp_path, text) == [
        "accounts.two.sync: one has the same key and the same database"
    ]
    assert len(load(tmp_path, text.replace('"ACME_KEY"', '"OTHER_KEY"', 1)).jobs) == 2


def test_two_rotations_never_share_a_journal_on_one_host(tmp_path: Path) -> None:
    second = (
        WHOLE.replace("acme", "b")
        .replace("ACME_KEY", "OTHER_KEY")
        .replace("telepath/b.journal", "telepath/acme.journal")
    )
    assert faults(tmp_path, WHOLE + second) == [
        "accounts.b.rotate.journal: it is the journal of acme"
    ]
    assert load(tmp_path, WHOLE + second.replace("voice-1", "voice-2"))


def test_many_hosts_need_to_know_where_a_file_is(tmp_path: Path) -> None:
    assert [
        line.split(";")[0]
        for line in faults(tmp_path, WHOLE.replace('host = "voice-1"', ""), distributed=True)
    ] == [
        "accounts.acme.host: a SQLite database is a file of one host",
        "accounts.acme.host: the rotation's journal is a file of one host",
    ]
    assert load(tmp_path, WHOLE.replace('host = "voice-1"', ""))


@pytest.mark.parametrize("thresholds", ["{}", "5", '"success_rate"', "[]"])
def test_thresholds_are_a_table_that_is_not_empty(tmp_path: Path, thresholds: str) -> None:
    text = (
        '[accounts.one]\napi_key_env = "ACME_KEY"\n[accounts.one.watch]\ncron = "@daily"\n'
        f'command = ["/bin/true"]\nthresholds = {thresholds}\n'
    )
    assert faults(tmp_path, text) == [
        "accounts.one.watch.thresholds: there are none, such as thresholds = "
        "{ avg_ai_latency_ms = 400, success_rate = 95 }"
    ]
