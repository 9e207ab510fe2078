"""Who is to blame for a slow answer, since when: from the synced calls (extra `[sync]`)."""

try:
    from .compare import Change
    from .explanation import Explanation, Period, TrunkChange
    from .run import explain
except ModuleNotFoundError as error:
    message = f'telepath_async.insights needs {error.name}: pip install "telepath-async[sync]"'
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = ["Change", "Explanation", "Period", "TrunkChange", "explain"]
