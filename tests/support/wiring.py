"""Reach what a client is wired to, for the tests that no public face serves."""

from __future__ import annotations

from telepath_async import TelepathClient
from telepath_async.resources.numbers import Numbers
from telepath_async.session import Session


def session_of(owner: TelepathClient | Numbers) -> Session:
    """Return the session that a client, or its `numbers`, sends with."""
    return owner._session
