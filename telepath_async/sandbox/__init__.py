"""A local server of the whole Telepath API, in both of its styles.

It imports nothing else of ours, so that one bug cannot hide another.
"""

from .contract import openapi
from .recorded import RecordedRequest
from .server import Sandbox

__all__ = ["RecordedRequest", "Sandbox", "openapi"]
