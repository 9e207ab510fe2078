"""Make what a database lacks: all of it at first, later what a newer version has added.

Run inside one transaction: it is done whole, or not at all.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Connection,
    MetaData,
    delete,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    update,
)

from .hourly import hourly_view
from .schema import calls, metadata, sync_state, trunks

_DDL_LOCK: Final = 7_354_031  # any number: two accounts may be the first at once
_VIEW: Final = "telepath_calls_hourly"
_COPY: Final = "telepath_calls_migrated"


def make_tables(connection: Connection) -> None:
    """Make the tables, indexes and the view that are missing; give calls their account."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_DDL_LOCK)))
    inspector = inspect(connection)
    before = set(inspector.get_table_names())
    if calls.name in before and not _has_account(connection):
        _add_account(connection, _only_account(connection))
    metadata.create_all(connection)
    for index in calls.indexes:
        index.create(connection, checkfirst=True)
    if _VIEW not in inspector.get_view_names():
        connection.exec_driver_sql(hourly_view(connection.dialect))


def rename_account(connection: Connection, old: str, new: str) -> None:
    """Have another name for an account, in all tables."""
    for table in (calls, trunks, sync_state):
        connection.execute(update(table).where(table.c.account == old).values(account=new))


def _has_account(connection: Connection) -> bool:
    columns = inspect(connection).get_columns(calls.name)
    return any(column["name"] == calls.c.account.name for column in columns)


def _only_account(connection: Connection) -> str:
    """Return whose calls these are; "" where several accounts have been synced.

    Nobody can know then, so all are read again: each call goes to the account that lists it.
    """
    accounts = [*connection.scalars(select(sync_state.c.account).distinct())]
    if len(accounts) == 1:
        return str(accounts[0])
    connection.execute(delete(sync_state))
    return ""


def _add_account(connection: Connection, account: str) -> None:
    if connection.dialect.name == "postgresql":
        _add_to_key(connection, account)
    else:
        _copy_with_account(connection, account)


def _add_to_key(connection: Connection, account: str) -> None:
    key = inspect(connection).get_pk_constraint(calls.name)["name"]
    quoted = connection.dialect.identifier_preparer.quote(str(key))
    alter = f"ALTER TABLE {calls.name}"
    # A constant default costs no rewriting of the rows. The account is the hash of a key, or "".
    connection.exec_driver_sql(
        f"{alter} ADD COLUMN account TEXT NOT NULL DEFAULT '{account}', "
        f"DROP CONSTRAINT {quoted}, ADD PRIMARY KEY (id, account)"
    )
    connection.exec_driver_sql(f"{alter} ALTER COLUMN account DROP DEFAULT")


def _copy_with_account(connection: Connection, account: str) -> None:
    """SQLite cannot change a key: copy the table, and make its indexes and triggers anew."""
    schema = text("SELECT sql FROM sqlite_schema WHERE tbl_name = :name AND type != 'table'")
    attached = connection.scalars(schema, {"name": calls.name}).all()
    copy = calls.to_metadata(MetaData(), name=_COPY)
    copy.indexes.clear()
    copy.create(connection)
    kept = [column for column in calls.columns if column.name != "account"]
    names = [*(column.name for column in kept), "account"]
    connection.execute(insert(copy).from_select(names, select(*kept, literal(account))))
    connection.execute(text("PRAGMA legacy_alter_table = ON"))  # views keep the name they know
    connection.execute(text(f"DROP TABLE {calls.name}"))
    connection.execute(text(f"ALTER TABLE {_COPY} RENAME TO {calls.name}"))
    connection.execute(text("PRAGMA legacy_alter_table = OFF"))
    for statement in filter(None, attached):  # the key's own index has none
        connection.exec_driver_sql(statement)
