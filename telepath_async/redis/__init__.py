"""One key, many processes, many hosts: `RedisLimiter` (extra `[redis]`)."""

try:
    from .limiter import RedisLimiter
    from .member import State
except ModuleNotFoundError as error:
    message = f'telepath_async.redis needs {error.name}: pip install "telepath-async[redis]"'
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = ["RedisLimiter", "State"]
