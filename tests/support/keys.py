"""The API key that must not show anywhere."""

from __future__ import annotations

KEY = "sk_live_seeded_key"
