"""A pipeline into DuckDB in a folder of its own, that talks to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from attrs import frozen

from telepath_async.dlt import telepath_source
from telepath_async.sandbox import Sandbox


@pytest.fixture(autouse=True)
def quiet_dlt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let dlt report nothing to its makers, and read no configuration but the test's."""
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.delenv("TELEPATH_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    dlt.pipeline().deactivate()


@frozen
class Warehouse:
    """A pipeline and the file that it fills."""

    folder: Path
    file_format: Any = None

    def pipeline(self) -> Any:
        """Return the pipeline, as a new process would."""
        return dlt.pipeline(
            "telepath_test",
            destination=dlt.destinations.duckdb(str(self.file)),
            dataset_name="telepath",
            pipelines_dir=str(self.folder / "pipelines"),
        )

    @property
    def file(self) -> Path:
        return self.folder / "warehouse.duckdb"

    async def load(self, sandbox: Sandbox, **options: Any) -> dict[str, int]:
        """Run the pipeline, as a script would; return how many rows of each table were loaded."""
        options = {"api_key": sandbox.api_key, "base_url": sandbox.base_url, **options}
        return await self.run(lambda: telepath_source(**options))

    async def run(self, make_source: Callable[[], Any]) -> dict[str, int]:
        """Run the pipeline with this source."""

        def run() -> dict[str, int]:
            pipeline = self.pipeline()
            pipeline.run(make_source(), loader_file_format=self.file_format)
            counts = pipeline.last_trace.last_normalize_info.row_counts
            return {name: counts.get(name, 0) for name in ("calls", "trunks", "overview")}

        return await asyncio.to_thread(run)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return what a query gives, by the names of its columns."""
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.execute(query)
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)
