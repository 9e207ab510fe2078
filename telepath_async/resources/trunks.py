"""Trunks: list, create, update, rotate.

A create or a rotate whose answer is lost is never sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from ..errors import (
    ConflictError,
    NotFoundError,
    OutcomeUnknown,
    PagingError,
    ResponseError,
    TelepathError,
    UsageError,
)
from ..models.trunks import AIProvider, SipCredentials, Trunk, TrunkStatus
from ..paginator import Page, Paginator
from ..protocol.answers import read_object
from ..protocol.body import drop_unset, write_json
from ..protocol.doubt import began_at_server, failed_for_sure, in_doubt, is_ours
from ..protocol.messages import Request
from ..protocol.redaction import as_secret, redact_request, secret_values
from ..protocol.url import path_segment, query_of
from ..secret import Secret
from ..session import Session
from ..unset import UNSET, UnsetType
from .batch import Batch, BatchRunner, check_specs
from .listing import ListOptions, paginator
from .trunk_spec import NO_EXTRA, UPDATE_FIELDS, TrunkSpec, extra_faults

_LOOK_UPS: Final = 3


class Trunks:
    """`telepath.trunks`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(
        self,
        *,
        status: TrunkStatus | str | None = None,
        sort: str | None = None,
        page_size: int = 100,
        max_items: int | None = None,
        prefetch: int = 0,
        overlap: int = 1,
        resume: str | None = None,
    ) -> Paginator[Trunk]:
        """List trunks.

        `sort`: sent as it is (no page names a value). `page_size`: 1-100; `prefetch`: pages under
        way ahead of you; `overlap`: rows by which each later page of an offset list is asked early,
        so that what changes meanwhile loses no row (0: unchecked); `resume`: a
        `Paginator.checkpoint`. Raises UsageError at once; what the request loop raises, and
        PagingError, while it is iterated. API reference: List Trunks.
        """
        return paginator(
            self._session,
            Trunk,
            "trunks",
            ListOptions(
                page_size=page_size,
                max_items=max_items,
                prefetch=prefetch,
                overlap=overlap,
                resume=resume,
            ),
            filters=query_of(status=status, sort=sort),
        )

    async def find(self, sip_username: str) -> Trunk | None:
        """Return the trunk with this SIP username, or None.

        It reads the list, because the API has no such filter. Raises PagingError where the list
        changed too much, three times, to say that there is no such trunk.
        """
        for _ in range(_LOOK_UPS):
            page, trunk = await self._look_up(self._session, sip_username)
            if page is not None:  # nothing was missed
                return trunk
        raise PagingError(
            "the list of trunks changed too much while it was read to say that no trunk has the "
            f"sip_username {sip_username!r}; call trunks.find() again"
        )

    async def create(
        self,
        *,
        name: str,
        ai_provider: AIProvider | str,
        sip_username: str,
        sip_password: str | Secret,
        openai_api_key: str | Secret | None = None,
        elevenlabs_api_key: str | Secret | None = None,
        elevenlabs_agent_id: str | None = None,
        custom_endpoint: str | None = None,
        system_prompt: str | None = None,
        extra: Mapping[str, Any] = NO_EXTRA,
    ) -> Trunk:
        """Create a trunk. It is never sent twice after an answer was lost: then it is looked up by
        its username.

        `extra`: fields that this SDK does not know, sent as they are.

        Raises UsageError on a bad spec, before anything is sent; ConflictError when the username is
        taken; ProviderCredentialsError; OutcomeUnknown when neither the answer nor a look-up could
        tell. API reference: Create Trunk.
        """
        # A traceback keeps this frame, and crash reporters print its locals.
        sip_password, openai_api_key = as_secret(sip_password), as_secret(openai_api_key)
        elevenlabs_api_key = as_secret(elevenlabs_api_key)
        extra = redact_request(extra)
        spec = TrunkSpec(
            name=name,
            ai_provider=ai_provider,
            sip_username=sip_username,
            sip_password=sip_password,
            openai_api_key=openai_api_key,
            elevenlabs_api_key=elevenlabs_api_key,
            elevenlabs_agent_id=elevenlabs_agent_id,
            custom_endpoint=custom_endpoint,
            system_prompt=system_prompt,
            extra=extra,
        )
        return await self._create(spec)

    def create_many(
        self,
        specs: Iterable[TrunkSpec | Mapping[str, Any]],
        *,
        concurrency: int = 20,
        if_exists: Literal["fail", "skip"] = "fail",
    ) -> Batch:
        """Create trunks concurrently; iterate over the result to get a `TrunkOutcome` per spec, as
        they finish.

        All specs are checked before anything is sent: one UsageError lists every fault, and
        usernames that occur twice. One that fails never stops the others. `concurrency`: creates
        under way at once; `if_exists="skip"`: a username that is taken gives the state `exists`, so
        that a second run of a batch changes nothing. Leaving the loop early cancels what is under
        way.
        """
        checked = check_specs(specs)
        del specs  # a traceback keeps this frame, and they may hold passwords in plain text
        if isinstance(checked, UsageError):
            raise checked
        return Batch(
            BatchRunner(
                checked,
                create=self._create,
                trunks=self.list,
                concurrency=concurrency,
                if_exists=if_exists,
            )
        )

    async def update(
        self,
        trunk_id: str,
        *,
        name: str | None | UnsetType = UNSET,
        openai_api_key: str | Secret | None | UnsetType = UNSET,
        elevenlabs_api_key: str | Secret | None | UnsetType = UNSET,
        elevenlabs_agent_id: str | None | UnsetType = UNSET,
        custom_endpoint: str | None | UnsetType = UNSET,
        system_prompt: str | None | UnsetType = UNSET,
        vad: Any = UNSET,
        extra: Mapping[str, Any] = NO_EXTRA,
    ) -> Trunk:
        """Change the fields that are given, and no others; None is sent as null. Safe to repeat,
        and retried.

        `vad`: the JSON of the voice activity detection, whose fields no page names. `extra`: fields
        that this SDK does not know, sent as they are. The answer may hold no more than `id`,
        `name`, `status` and `updated_at`; where it is empty (204), the trunk holds what is known:
        its id. API reference: Update Trunk.
        """
        fields = redact_request(
            drop_unset(
                name=name,
                openai_api_key=openai_api_key,
                elevenlabs_api_key=elevenlabs_api_key,
                elevenlabs_agent_id=elevenlabs_agent_id,
                custom_endpoint=custom_endpoint,
                system_prompt=system_prompt,
                vad=vad,
            )
        )
        extra = redact_request(extra)
        del openai_api_key, elevenlabs_api_key, vad  # a traceback keeps this frame
        path = f"/trunks/{path_segment('trunk_id', trunk_id)}"
        faults = extra_faults(extra, UPDATE_FIELDS)
        if faults:
            raise UsageError("; ".join(faults))
        fields |= extra
        if not fields:
            raise UsageError("nothing to update: give at least one field")
        request = Request(
            method="PATCH",
            path=path,
            template="/trunks/{id}",
            body=write_json(fields),
            secrets=secret_values(fields),
        )
        response = await self._session.send(request)
        return read_object(Trunk, response.or_if_empty({"id": trunk_id, "name": name or ""}))

    async def rotate_sip_password(self, trunk_id: str) -> SipCredentials:
        """Have a new SIP password made, and return it: the only time that it is shown. The old one
        is dead at once.

        Raises OutcomeUnknown when it was sent and the answer was lost: the old password may be
        dead, so rotate again. Raises ResponseError when the answer makes no sense; its `.raw` then
        holds the new password. API reference: Rotate SIP Password.
        """
        segment = path_segment("trunk_id", trunk_id)
        deadline = self._session.deadline()
        try:
            return await self._rotate(trunk_id, segment, "rotate-sip-password", deadline)
        except NotFoundError as error:
            if error.code == "trunk_not_found":
                raise
            not_found = error
        # One public page spells the path like this; a 404 means that nothing has happened yet.
        if asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(NotFoundError):
                return await self._rotate(trunk_id, segment, "rotate-password", deadline)
        raise not_found

    def _time_left(self, began: float) -> float | None:
        """Return the seconds that are left of the call's `timeout`; None = no bound."""
        timeout = self._session.options.timeout
        return None if timeout is None else timeout - (asyncio.get_running_loop().time() - began)

    async def _rotate(
        self, trunk_id: str, segment: str, action: str, deadline: float
    ) -> SipCredentials:
        request = Request(
            method="POST",
            path=f"/trunks/{segment}/{action}",
            template=f"/trunks/{{id}}/{action}",
            repeatable=False,
        )
        try:
            response = await self._session.send(request, deadline=deadline)
        except TelepathError as error:
            if isinstance(error, ResponseError) or not in_doubt(error):
                raise
            doubt = error
        else:
            return read_object(SipCredentials, response)
        raise OutcomeUnknown(
            f"the rotation of trunk {trunk_id!r} was sent and its answer was lost: the old "
            "password may be dead; rotate again",
            operation="rotate SIP password",
            subject=trunk_id,
        ) from doubt

    async def _create(self, spec: TrunkSpec) -> Trunk:
        fields = spec.fields()
        request = Request(
            method="POST",
            path="/trunks",
            template="/trunks",
            body=write_json(fields),
            repeatable=False,
            secrets=secret_values(fields),
        )
        began = asyncio.get_running_loop().time()
        try:
            return read_object(Trunk, await self._session.send(request))
        except TelepathError as error:
            if not in_doubt(error):
                raise
            doubt = error
        return await self._resolve_lost_create(spec, doubt, began)

    async def _resolve_lost_create(
        self, spec: TrunkSpec, doubt: TelepathError, began: float
    ) -> Trunk:
        """Look up a create whose answer was lost: inside the call's deadline and retry budget."""
        clock = asyncio.get_running_loop().time
        time_left = self._time_left(began)
        unknown = OutcomeUnknown(
            f"the create of trunk {spec.sip_username!r} was sent and its answer was lost, and "
            "a look-up could not tell; "
            f"call trunks.find({spec.sip_username!r}) before you create it again",
            operation="create trunk",
            subject=spec.sip_username,
        )
        if (time_left is not None and time_left <= 0) or not self._session.charge_retry():
            raise unknown from doubt
        try:
            async with asyncio.timeout(time_left):  # that of the session is for each page
                page, found = await self._look_up(
                    self._session.with_options(timeout=time_left), spec.sip_username
                )
        except (TelepathError, TimeoutError):
            page = found = None
        if page is None:
            raise unknown from doubt
        if found is None:
            if failed_for_sure(doubt):
                raise doubt
            raise unknown from doubt
        start = began_at_server(
            page.raw.headers, seconds_ago=clock() - began, wall_clock=time.time()
        )
        ours = is_ours(found, name=spec.name, ai_provider=spec.ai_provider, began=start)
        if ours is None:
            raise unknown from doubt
        if not ours:
            raise ConflictError(
                f"a trunk with sip_username {spec.sip_username!r} existed before this call, or is "
                f"another one ({found.id})",
                status=409,
                code="conflict",
                hint="choose another sip_username, or use the one that exists",
            ) from doubt
        return found

    @staticmethod
    async def _look_up(
        session: Session, sip_username: str
    ) -> tuple[Page[Trunk] | None, Trunk | None]:
        """Return the trunk with this username, and the page that it stands on, or the last one."""
        if not isinstance(sip_username, str) or not sip_username.strip():
            raise UsageError(f"sip_username must be text, not {sip_username!r}")
        page: Page[Trunk] | None = None
        trunks = Trunks(session).list()
        async for page in trunks.pages():
            for trunk in page.items:
                if trunk.sip_username == sip_username:
                    return page, trunk
        return (None if trunks.drift.uncertain else page), None
