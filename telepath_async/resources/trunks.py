"""Trunks: list, create, update, rotate.

A create or a rotate whose answer is lost is never sent again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from ..checks import check_whole, shown
from ..errors import (
    NotFoundError,
    OutcomeUnknown,
    PagingError,
    ResponseError,
    TelepathError,
    UsageError,
)
from ..models.trunks import AIProvider, SipCredentials, Trunk, TrunkStatus
from ..paginator import Paginator
from ..protocol.answers import read_object
from ..protocol.body import drop_unset, write_json
from ..protocol.doubt import in_doubt
from ..protocol.messages import Request
from ..protocol.redaction import as_secret, redact_request, secret_values
from ..protocol.url import filters_of, path_segment
from ..secret import Secret
from ..session import Session
from ..unset import UNSET, UnsetType
from .batch import Batch, BatchRunner, ExistingTrunks
from .batch_specs import check_specs
from .listing import ListOptions, paginator
from .lost_answers import look_up, resolve_lost_create
from .trunk_spec import NO_EXTRA, UPDATE_FIELDS, TrunkSpec, extra_faults, field_faults

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
            filters=filters_of(status=status, sort=sort),
        )

    async def find(self, sip_username: str) -> Trunk | None:
        """Return the trunk with this SIP username, or None.

        It reads the list, because the API has no such filter. Where no trunk has just this username
        and one alone has it in another case, that one is returned: a server may have changed it.
        Raises PagingError where the list changed too much, three times, to prove that there is no
        such trunk.
        """
        for _ in range(_LOOK_UPS):
            found = await look_up(self._session, sip_username)
            if found.complete:
                return found.exact or (found.alike[0] if len(found.alike) == 1 else None)
        raise PagingError(
            "the list of trunks could not be read well enough to prove that none has the "
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
        return await self._create(spec, _create_request(spec))

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
        usernames that occur twice. One that fails never stops the others, but for the API's refusal
        of our own key (AuthenticationError): then nothing more is sent, and the outcomes of the
        rest report that. `concurrency`: how many creates may be ahead of you, under way or with an
        outcome that you have not taken yet. `if_exists="skip"`: a username that is taken gives the
        state `exists`, so that a second run of a batch changes nothing; those that somebody took
        meanwhile come last, after one look-up for them all. Leaving the loop early cancels what is
        under way.
        """
        checked = check_specs(specs)
        del specs  # a traceback keeps this frame, and they may hold passwords in plain text
        check_whole("concurrency", concurrency)
        if if_exists not in ("fail", "skip"):
            raise UsageError(f"if_exists must be 'fail' or 'skip', not {shown(if_exists)}")
        if isinstance(checked, UsageError):
            raise checked
        return Batch(
            BatchRunner(
                checked,
                create=self._create,
                request_of=_create_request,
                existing=ExistingTrunks(self.list, skip=if_exists == "skip"),
                concurrency=concurrency,
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
        its id.

        Raises UsageError on a value that `create` would refuse, before anything is sent. API
        reference: Update Trunk.
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
        faults = field_faults(fields) + extra_faults(extra, UPDATE_FIELDS)
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
        if self._session.now() < deadline:
            with contextlib.suppress(NotFoundError):
                return await self._rotate(trunk_id, segment, "rotate-password", deadline)
        raise not_found

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

    async def _create(self, spec: TrunkSpec, request: Request) -> Trunk:
        began, deadline = self._session.now(), self._session.deadline()
        try:
            return read_object(Trunk, await self._session.send(request, deadline=deadline))
        except TelepathError as error:
            if not in_doubt(error):
                raise
            doubt = error
        return await resolve_lost_create(self._session, spec, doubt, began=began, deadline=deadline)


def _create_request(spec: TrunkSpec) -> Request:
    fields = spec.fields()
    return Request(
        method="POST",
        path="/trunks",
        template="/trunks",
        body=write_json(fields),
        repeatable=False,
        secrets=secret_values(fields),
    )
