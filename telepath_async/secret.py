"""`Secret`: a string that hides itself; `SecretNumber` and `SecretBytes` do for other types.

Which values are secrets is decided in `protocol/redaction.py`.
"""

from __future__ import annotations

from typing import Final, NoReturn

_MASK: Final = "**********"


class Secret:
    """A string that shows `**********` wherever it is printed, formatted, logged or pickled.

    `reveal()` is the one way to the value. Two secrets are equal when their values are; a secret
    never equals a plain string. A pickle leaves the value behind (it is a file or a queue message
    that others read): the copy on the other side raises ValueError when it is asked to reveal, so
    that a mask never becomes somebody's password, and equals no other.
    """

    __slots__ = ("_value",)
    _value: str | None

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"Secret holds a str, not {type(value).__name__}")
        object.__setattr__(self, "_value", str.__str__(value))  # of a subclass, the text alone

    def reveal(self) -> str:
        """Return the value itself. Raises ValueError on a secret that came out of a pickle."""
        if self._value is None:
            raise ValueError(
                "this Secret came out of a pickle, which leaves the value behind; pass revealed "
                "values yourself"
            )
        return self._value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed; make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret cannot be changed; make a new one")

    def __str__(self) -> str:
        return _MASK

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self is other or (self._value is not None and self._value == other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return _without_value, ()


class SecretNumber(Secret):
    """A number after a credential's name: a Secret of its text, sent as the number that it is."""

    __slots__ = ()

    def __init__(self, value: int | float) -> None:
        # A subclass may spell itself otherwise.
        super().__init__(int.__repr__(value) if isinstance(value, int) else float.__repr__(value))

    def number(self) -> int | float:
        """Return the number itself."""
        text = self.reveal()
        try:
            return int(text)
        except ValueError:
            return float(text)


class SecretBytes(Secret):
    """Bytes after a credential's name: a Secret of their repr; nothing takes them for text."""

    __slots__ = ()

    def __init__(self, value: bytes | bytearray) -> None:
        super().__init__(repr(value))


def type_name(value: object) -> str:
    """Return the name of a value's type; where a Secret hides no text, of that which it hides."""
    if isinstance(value, SecretNumber):
        return type(value.number()).__name__
    return "bytes" if isinstance(value, SecretBytes) else type(value).__name__


def _without_value() -> Secret:
    secret = object.__new__(Secret)
    object.__setattr__(secret, "_value", None)
    return secret
