"""A web app: one client for all requests, opened with the app.

Run it: uvicorn examples.fastapi_app:app
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from telepath_async import (
    NotFoundError,
    RateLimitError,
    TelepathClient,
    TelepathError,
    ThrottledError,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with TelepathClient() as telepath:
        # A visitor who would wait over two seconds for the rate limit is told to come back.
        app.state.telepath = telepath.with_options(timeout=10.0, max_wait=2.0)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/trunks")
async def trunks(request: Request) -> list[dict[str, Any]]:
    found = await request.app.state.telepath.trunks.list(status="active", max_items=50).collect()
    return [
        {"id": trunk.id, "name": trunk.name, "success_rate": trunk.metrics.success_rate}
        for trunk in found
    ]


@app.get("/calls/{call_id}")
async def call(call_id: str, request: Request) -> dict[str, Any]:
    details = await request.app.state.telepath.calls.get(call_id)
    return {
        "id": details.id,
        "status": details.status,
        "turns": len(details.turns),
        "codec": details.metrics.codec_used,
    }


@app.exception_handler(ThrottledError)
@app.exception_handler(RateLimitError)
async def busy(request: Request, error: ThrottledError | RateLimitError) -> JSONResponse:
    seconds = max(1, math.ceil(error.retry_after or 1))
    return JSONResponse(
        {"detail": "busy, try again"}, status_code=503, headers={"Retry-After": str(seconds)}
    )


@app.exception_handler(NotFoundError)
async def missing(request: Request, error: NotFoundError) -> JSONResponse:
    return JSONResponse({"detail": error.message}, status_code=404)


@app.exception_handler(TelepathError)
async def failed(request: Request, error: TelepathError) -> JSONResponse:
    return JSONResponse({"detail": "the telephony service failed"}, status_code=502)
