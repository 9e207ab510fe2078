"""Sync call history into SQL, incrementally, safe to kill at any moment (extra `[sync]`)."""

try:
    from .database import SyncBusy
    from .report import SyncProgress, SyncReport
    from .run import sync_calls
except ModuleNotFoundError as error:
    message = f'telepath_async.sync needs {error.name}: pip install "telepath-async[sync]"'
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = ["SyncBusy", "SyncProgress", "SyncReport", "sync_calls"]
