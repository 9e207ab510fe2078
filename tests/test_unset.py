"""`UNSET` is what was not given."""

from __future__ import annotations

import pickle

from telepath_async.unset import UNSET


def test_unset_says_its_name_and_counts_as_false() -> None:
    assert repr(UNSET) == "UNSET"
    assert not UNSET


def test_unset_stays_itself_through_a_pickle() -> None:
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
