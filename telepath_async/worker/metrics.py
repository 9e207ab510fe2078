"""What a worker counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from .accounts import Job

_BUCKETS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)
_OF_JOB: Final = ("account", "job")


class Metrics:
    """The metrics of one worker, in a registry of their own. `running`: runs under way."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._runs = Counter(
            "telepath_worker_runs", "Runs that have ended.", (*_OF_JOB, "outcome"),
            registry=registry,
        )  # fmt: skip
        self._rows = Counter(
            "telepath_worker_rows", "Rows written, alerts sent, trunks rotated.", _OF_JOB,
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "telepath_worker_run_seconds", "How long runs took.", ("job",),
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._last_success = Gauge(
            "telepath_worker_last_success_timestamp_seconds", "When a run last succeeded here.",
            _OF_JOB, registry=registry,
        )  # fmt: skip
        self.running = Gauge("telepath_worker_running", "Runs under way.", registry=registry)

    def count(self, job: Job, outcome: str, *, rows: int, seconds: float) -> None:
        """Count a run that has ended."""
        of_job = (job.account.name, job.name)
        self._runs.labels(*of_job, outcome).inc()
        self._rows.labels(*of_job).inc(rows)
        self._seconds.labels(job.name).observe(seconds)
        if outcome == "success":
            self._last_success.labels(*of_job).set_to_current_time()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a figure that is looked up whenever the metrics are read."""
        Gauge(name, text, registry=self.registry).set_function(value)
