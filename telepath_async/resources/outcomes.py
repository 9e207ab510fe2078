"""What becomes of the specs of a `create_many`: a union that a type checker narrows by `state`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from ..errors import OutcomeUnknown, TelepathError
from ..models.trunks import Trunk
from .trunk_spec import TrunkSpec


@frozen(kw_only=True)
class TrunkCreated:
    """The trunk of the spec at `index` was created."""

    index: int
    spec: TrunkSpec
    state: Literal["created"] = "created"
    trunk: Trunk
    error: None = None


@frozen(kw_only=True)
class TrunkExists:
    """The username of the spec at `index` was taken; `trunk` has it."""

    index: int
    spec: TrunkSpec
    state: Literal["exists"] = "exists"
    trunk: Trunk
    error: None = None


@frozen(kw_only=True)
class TrunkFailed:
    """Nothing was created for the spec at `index`; `error` is the reason."""

    index: int
    spec: TrunkSpec
    state: Literal["failed"] = "failed"
    trunk: None = None
    error: TelepathError


@frozen(kw_only=True)
class TrunkUnknown:
    """The trunk of the spec at `index` may have been created, or not.

    Look before you create it again.
    """

    index: int
    spec: TrunkSpec
    state: Literal["unknown"] = "unknown"
    trunk: None = None
    error: OutcomeUnknown


TrunkOutcome: TypeAlias = TrunkCreated | TrunkExists | TrunkFailed | TrunkUnknown
"""What became of a spec of a batch: its `state` decides which of `trunk` and `error` is there."""
