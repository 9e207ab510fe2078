"""Alert when the last day's calls are slow or fail, and when that is over. Ctrl-C ends it.

python watch_latency.py          # polls every 30 seconds python watch_latency.py --once   # polls
once, for cron; ALERT_STATE (alerts.json) remembers what was told
"""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from telepath_async import TelepathClient
from telepath_async.jobs import LatencyAlert, LatencyPoll, Threshold, poll_latency, watch_latency

DAY = timedelta(days=1)
THRESHOLDS = [
    Threshold("avg_ai_latency_ms", 200, recovery=180),
    Threshold("avg_carrier_lag_ms", 150, for_at_least=timedelta(minutes=5)),
    Threshold("success_rate", 80),
]
STATE = Path(os.environ.get("ALERT_STATE", "alerts.json"))


async def on_alert(alert: LatencyAlert) -> None:
    """Call your pager here; when it raises, the alert is told again at the next poll."""
    print(
        f"{alert.kind}: {alert.threshold.metric} is {alert.value}, the limit "
        f"{alert.threshold.limit}"
    )
    for call in alert.worst_calls:
        print(
            f"  {call.id}  AI {call.ai_latency_ms} ms, carrier {call.carrier_lag_ms} ms, "
            f"{call.status}"
        )


def remember(poll: LatencyPoll) -> None:
    STATE.write_text(poll.state)


async def main(state: str | None) -> None:
    async with TelepathClient() as telepath:
        if "--once" not in sys.argv:
            await watch_latency(
                telepath,
                THRESHOLDS,
                on_alert,
                interval=30.0,
                state=state,
                on_poll=remember,
                window=DAY,
            )
        poll = await poll_latency(telepath, THRESHOLDS, state, window=DAY)
        for alert in poll.alerts:
            await on_alert(alert)
        remember(poll)
        print(poll.error or f"alerts: {len(poll.alerts)}")


try:
    asyncio.run(main(STATE.read_text() if STATE.exists() else None))
except KeyboardInterrupt:
    print("stopped")
