"""Create many trunks at once. Run it a second time: with if_exists="skip", nothing changes."""

import asyncio
from collections import Counter

from telepath_async import TelepathClient, TrunkSpec

REGIONS = ["us-east", "us-west", "eu", "ap-south"]


async def main() -> None:
    specs = [
        TrunkSpec.openai(
            f"Agent {region} {n}",
            sip_username=f"agent-{region}-{n}",
            sip_password=f"s3cur3P@ss-{region}-{n}",
            api_key="sk-openai-abc123",
        )
        for region in REGIONS
        for n in range(10)
    ]
    states: Counter[str] = Counter()
    async with TelepathClient() as telepath:
        async for outcome in telepath.trunks.create_many(specs, concurrency=20, if_exists="skip"):
            states[outcome.state] += 1
            if outcome.error:
                print(outcome.spec.sip_username, outcome.state, outcome.error)
    print(", ".join(f"{count} {state}" for state, count in states.items()))


asyncio.run(main())
