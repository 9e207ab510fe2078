"""Sync, alerts and rotation for many accounts: by a fleet on SAQ, or alone (extra `[jobs]`)."""

try:
    from .accounts import Account, Accounts
    from .accounts_file import load_accounts
    from .brokers import BrokerUnreachable
    from .file_store import StateBusy
    from .health import HealthOptions
    from .report import JobReport
    from .service import BrokerUrl, WorkerOptions, log_lines, read_report, run_worker
except ModuleNotFoundError as error:
    message = f'telepath_async.worker needs {error.name}: pip install "telepath-async[jobs]"'
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = [
    "Account",
    "Accounts",
    "BrokerUnreachable",
    "BrokerUrl",
    "HealthOptions",
    "JobReport",
    "StateBusy",
    "WorkerOptions",
    "load_accounts",
    "log_lines",
    "read_report",
    "run_worker",
]
