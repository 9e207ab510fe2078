"""Workers killed again and again: in the end every table equals its server."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.worker.killing import Killing, customers, outcomes

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


async def test_a_fleet_that_is_killed_again_and_again_loses_no_row_and_doubles_none(
    broker_arguments: list[str], postgres_server: str, tmp_path: Path
) -> None:
    killing = Killing(
        broker_arguments=broker_arguments,
        number=3,
        kills=8,
        pause=(0.0, 0.05),
        dice=random.Random(broker_arguments[0]),
    )
    async with customers(5, 1_000, tmp_path, postgres_server) as accounts:
        await killing.run(tmp_path, accounts)
    assert outcomes(tmp_path / "workers.log")["killed"] >= 1
