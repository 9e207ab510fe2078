"""Load calls, trunks and figures into a warehouse, as a source of dlt (extra `[dlt]`)."""

try:
    from .source import telepath_source
except ModuleNotFoundError as error:
    message = f'telepath_async.dlt needs {error.name}: pip install "telepath-async[dlt]"'
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = ["telepath_source"]
