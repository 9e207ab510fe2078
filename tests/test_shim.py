"""The canary of the shim in conftest.py."""

import aiohttp
import pytest
from aioresponses import aioresponses


async def test_aioresponses_still_needs_the_shim() -> None:
    with aioresponses() as mocked:
        mocked.get("https://api.example.com/", body="{}")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TypeError, match="stream_writer"):
                await session.get("https://api.example.com/")
    # When this fails, aioresponses works by itself: remove this file and the shim in conftest.py.
