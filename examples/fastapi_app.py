"""A web app: one client for all requests, opened with the app.

Run it: uvicorn examples.fastapi_app:app
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from telepath_async import (
    CallDetails,
    NotFoundError,
    RateLimitError,
    TelepathClient,
    TelepathError,
    ThrottledError,
    Trunk,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with TelepathClient() as telepath:
        # A visitor who would wait over two seconds for the rate limit is told to come back.
        app.state.telepath = telepath.with_options(timeout=10.0, max_wait=2.0)
        yield


app = FastAPI(lifespan=lifespan)


# The models are the answers: their fields stand in /openapi.json, and their secrets are masked.
@app.get("/trunks")
async def trunks(request: Request) -> list[Trunk]:
    found = request.app.state.telepath.trunks.list(status="active", max_items=50)
    return [trunk async for trunk in found]


@app.get("/trunks/{sip_username}")
async def trunk(sip_username: str, request: Request) -> Trunk | None:
    return await request.app.state.telepath.trunks.find(sip_username)


@app.get("/calls/{call_id}")
async def call(call_id: str, request: Request) -> CallDetails:
    return await request.app.state.telepath.calls.get(call_id)


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
