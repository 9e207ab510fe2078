"""List trunks, create one, and look at the latest calls.

Needs TELEPATH_API_KEY (and TELEPATH_BASE_URL for a sandbox).
"""

import asyncio

from telepath_async import ConflictError, TelepathClient


async def main() -> None:
    async with TelepathClient() as telepath:
        async for trunk in telepath.trunks.list(status="active", max_items=5):
            print(trunk.name, trunk.metrics.success_rate)

        try:
            trunk = await telepath.trunks.create(
                name="Production OpenAI Agent",
                ai_provider="openai",
                sip_username="agent-prod-01",
                sip_password="s3cur3P@ssw0rd!",
                openai_api_key="sk-openai-abc123",
            )
            print("created", trunk.id, trunk.sip_endpoint)
        except ConflictError as error:
            print(error.message)

        async for call in telepath.calls.list(max_items=5):
            print(call.start_time, call.direction, call.status, call.ai_latency_ms, "ms")


asyncio.run(main())
