"""The old names of what `messages.py`, `body.py` and `redaction.py` hold, for `shapes.py` and
`fast.py` until these are rewritten."""

from .body import decode_error as unreadable
from .body import read_json
from .messages import Response
from .redaction import CREDENTIAL
from .redaction import redact as concealed

__all__ = ["CREDENTIAL", "Response", "concealed", "read_json", "unreadable"]
