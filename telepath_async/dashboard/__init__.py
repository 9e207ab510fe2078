"""A local web page over the synced calls (extra `[dashboard]`)."""

try:
    from .board import BoardOptions
    from .figures import Limits
    from .run import DashboardOptions, Source, cache_database, grafana_json, serve_dashboard
    from .server import Address
except ModuleNotFoundError as error:
    message = (
        f'telepath_async.dashboard needs {error.name}: pip install "telepath-async[dashboard]"'
    )
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = [
    "Address",
    "BoardOptions",
    "DashboardOptions",
    "Limits",
    "Source",
    "cache_database",
    "grafana_json",
    "serve_dashboard",
]
