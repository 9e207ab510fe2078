"""The trunks: made up at the start, then created, changed and removed.

Secrets are kept here; no dialect shows them.
"""

import random
import string
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from typing import Any

from .selection import Selection, row_key
from .timestamps import iso, now, unix

Trunk = dict[str, Any]

PROVIDERS = ("openai", "elevenlabs", "custom")
SETTINGS = (
    "openai_api_key",
    "elevenlabs_api_key",
    "elevenlabs_agent_id",
    "custom_endpoint",
    "system_prompt",
)
_FIELDS = (
    "id",
    "name",
    "status",
    "provider",
    "sip_username",
    "sip_password",
    "created_at",
    "updated_at",
)
NOT_EXTRA = {*_FIELDS, *SETTINGS, "ai_provider", "sip_endpoint", "metrics"}

_ROLES = (
    "Customer Support",
    "Billing Bot",
    "Sales Agent",
    "Reception",
    "Appointments",
    "Survey",
    "Night Desk",
)
_ALPHABET = string.digits + string.ascii_lowercase
_DAY_SECONDS = 86_400


class TrunkBook(Mapping[str, Trunk]):
    """Hold all trunks by id, newest first, with their secrets.

    The form is neutral: `provider` in both styles. Each look-up returns a copy.
    """

    def __init__(self, rng: random.Random, id_prefix: str) -> None:
        self._rng = rng
        self._id_prefix = id_prefix
        self._trunks: dict[str, Trunk] = {}
        self._rows: dict[int, str] = {}
        self._names: dict[int, str] = {}  # of removed ones, too
        self._keys: list[int] = []
        self._usernames: dict[str, str] = {}
        self._serial = 0

    def __getitem__(self, trunk_id: str) -> Trunk:
        return dict(self._trunks[trunk_id])

    def __iter__(self) -> Iterator[str]:
        return (self._rows[key] for key in reversed(self._keys))

    def __len__(self) -> int:
        return len(self._trunks)

    def at(self, key: int) -> Trunk:
        """Return the trunk of a row."""
        return self._trunks[self._rows[key]]

    def name_of(self, key: int) -> str:
        """Return the name that a row's trunk was made with; the row need not exist any more."""
        return self._names[key]

    def select(self, status: str | None) -> Selection:
        """Return the trunks of a status, or all."""
        if status is None:
            return Selection.of(self._keys)
        return Selection.of([key for key in self._keys if self.at(key)["status"] == status])

    def by_username(self, sip_username: str) -> Trunk | None:
        """Return the trunk that owns a SIP username."""
        trunk_id = self._usernames.get(sip_username)
        return None if trunk_id is None else self._trunks[trunk_id]

    def populate(self, count: int, moment: int) -> None:
        """Make up `count` trunks, all older than the calls that end at `moment`."""
        ages = sorted(
            (self._rng.randrange(31 * _DAY_SECONDS, 700 * _DAY_SECONDS) for _ in range(count)),
            reverse=True,
        )
        for number, age in enumerate(ages, 1):
            created = moment - age
            self.add(
                **self._made_up(number), created_at=iso(created), updated_at=iso(created + age // 2)
            )

    def add(self, **fields: Any) -> Trunk:
        """Add a trunk; what is not given is made up.

        Raises ValueError for an id or SIP username that is taken.
        """
        trunk = self._defaults() | fields
        if trunk["id"] in self._trunks:
            raise ValueError(f"there is a trunk {trunk['id']!r} already")
        if trunk["sip_username"] in self._usernames:
            raise ValueError(
                f"there is a trunk with sip_username {trunk['sip_username']!r} already"
            )
        key = row_key(unix(trunk["created_at"]), self._serial)
        self._trunks[trunk["id"]] = trunk
        self._usernames[trunk["sip_username"]] = trunk["id"]
        self._rows[key] = trunk["id"]
        self._names[key] = trunk["name"]
        insort(self._keys, key)
        return dict(trunk)

    def update(self, trunk_id: str, changes: Mapping[str, Any]) -> Trunk:
        """Change just these fields, and `updated_at`."""
        trunk = self._trunks[trunk_id]
        trunk |= changes
        trunk["updated_at"] = iso(now())
        return dict(trunk)

    def rotate(self, trunk_id: str) -> Trunk:
        """Give the trunk a new SIP password; the old one is dead at once."""
        return self.update(trunk_id, {"sip_password": self._password()})

    def remove(self, trunk_id: str) -> None:
        """Take a trunk out. Raises KeyError for an unknown id."""
        trunk = self._trunks.pop(trunk_id)
        del self._usernames[trunk["sip_username"]]
        key = next(key for key, owner in self._rows.items() if owner == trunk_id)
        del self._rows[key]
        del self._keys[bisect_left(self._keys, key)]

    def _defaults(self) -> Trunk:
        self._serial += 1
        present = iso(now())
        return {
            "id": self._id_prefix + self._text(9),
            "name": f"Trunk {self._serial}",
            "status": "active",
            "provider": "openai",
            "sip_username": f"trunk-{self._serial}",
            "sip_password": self._password(),
            "created_at": present,
            "updated_at": present,
        }

    def _made_up(self, number: int) -> Trunk:
        role = self._rng.choice(_ROLES)
        status = self._rng.choices(("active", "inactive", "error"), (80, 14, 6))[0]
        provider = self._rng.choices(PROVIDERS, (6, 3, 1))[0]
        if number <= len(PROVIDERS):  # the oldest have most of the calls
            status, provider = "active", PROVIDERS[number - 1]
        return {
            "name": f"{role} {number}",
            "status": status,
            "provider": provider,
            "sip_username": f"{role.lower().replace(' ', '-')}-{number:02d}",
        }

    def _password(self) -> str:
        return self._text(20)

    def _text(self, length: int) -> str:
        return "".join(self._rng.choices(_ALPHABET, k=length))


def extra_fields(trunk: Trunk) -> Trunk:
    """Return the fields that clients sent and the API does not know."""
    return {name: value for name, value in trunk.items() if name not in NOT_EXTRA}
