"""EnrolmentService over grpc.aio: what is asked is bounded, judged in a thread, and written down.

Whoever reaches the port may ask: an address with too many failures is not listened to for a while,
and a refused token is refused in the same words whatever is wrong with it. The journal has the
reason, and how often it has come up.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from bulkhead.v1.enrolment_service_pb2 import (
    JoinRequest,
    JoinResponse,
    RenewRequest,
    RenewResponse,
)
from bulkhead.v1.enrolment_service_pb2_grpc import EnrolmentServiceServicer
from cloud import journal
from cloud.enrolment.failures import Failures, address_of
from cloud.enrolment.issuance import Issuance, TokenRefusedError
from cloud.errors import CloudError, CloudReason, SessionError
from cloud.issuing import Issued
from cloud.limits import CloudLimits
from cloud.wire import require_known_fields

SOCKET = "unix:"
"""How gRPC calls whoever asks on the socket in the folder."""

Asked = TypeVar("Asked", bound=Message)

STATUS: Mapping[CloudReason, grpc.StatusCode] = MappingProxyType(
    {
        CloudReason.TOKEN_REFUSED: grpc.StatusCode.UNAUTHENTICATED,
        CloudReason.PROOF_INVALID: grpc.StatusCode.UNAUTHENTICATED,
        CloudReason.CERTIFICATE_FOREIGN: grpc.StatusCode.UNAUTHENTICATED,
        CloudReason.CERTIFICATE_EXPIRED: grpc.StatusCode.UNAUTHENTICATED,
        CloudReason.CERTIFICATE_REVOKED: grpc.StatusCode.PERMISSION_DENIED,
        CloudReason.CERTIFICATE_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.AGENT_ID_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.UNKNOWN_PROTOBUF_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.CSR_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.CSR_KEY: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.CSR_NAME: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.CSR_EXTENSION: grpc.StatusCode.INVALID_ARGUMENT,
        CloudReason.NO_SESSION: grpc.StatusCode.FAILED_PRECONDITION,
        CloudReason.ENROLMENT_BUSY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""How a refusal is called on the wire; everything else is UNAVAILABLE: try again later."""


class EnrolmentService(EnrolmentServiceServicer):
    """First certificates for whoever has a token, further ones for whoever has one."""

    def __init__(self, issuance: Issuance, limits: CloudLimits) -> None:
        self._issuance = issuance
        self._failures = Failures(limits)
        self._refused: Counter[str] = Counter()

    async def Join(self, request: JoinRequest, context: Any) -> JoinResponse:  # noqa: N802
        """A first certificate."""
        address = address_of(context.peer())
        try:
            self._require_patience(address)
            issued = await _judged(self._issuance.join, request)
        except CloudError as error:
            if error.reason in STATUS and error.reason is not CloudReason.ENROLMENT_BUSY:
                self._failures.failed(address, time.monotonic())
            await self._refuse("join_refused", request.agent_id, address, error, context)
        _tell("joined", issued)
        return JoinResponse(certificate_chain=issued.chain_pem)

    async def Renew(self, request: RenewRequest, context: Any) -> RenewResponse:  # noqa: N802
        """A further certificate, for the serving process: it knows of the agent's session.

        It is believed that there is one, and nothing else: the old key has signed for the rest.
        """
        try:
            if not context.peer().startswith(SOCKET):
                raise SessionError(
                    CloudReason.NO_SESSION, "certificates are renewed in a session with the cloud"
                )
            issued = await _judged(self._issuance.renew, request)
        except CloudError as error:
            address = address_of(context.peer())
            await self._refuse("renewal_refused", "", address, error, context)
        _tell("renewed", issued)
        return RenewResponse(certificate_chain=issued.chain_pem)

    def _require_patience(self, address: str) -> None:
        if not self._failures.allowed(address, time.monotonic()):
            raise SessionError(
                CloudReason.ENROLMENT_BUSY, "too many failed tries; wait a minute, then try again"
            )

    async def _refuse(
        self, event: str, agent_id: str, address: str, error: CloudError, context: Any
    ) -> NoReturn:
        because = error.because.value if isinstance(error, TokenRefusedError) else ""
        self._refused[because or error.reason] += 1
        journal.warning(
            event,
            agent_id=agent_id,
            address=address,
            reason=error.reason,
            because=because,
            times=self._refused[because or error.reason],
            message=str(error),
        )
        status = STATUS.get(error.reason, grpc.StatusCode.UNAVAILABLE)
        await context.abort(status, f"{error.reason}: {error}")
        raise AssertionError("abort returns")  # for the type checker


async def _judged(judge: Callable[[Asked, datetime], Issued], request: Asked) -> Issued:
    require_known_fields(request)
    return await asyncio.to_thread(judge, request, datetime.now(UTC))


def _tell(event: str, issued: Issued) -> None:
    certificate = issued.certificate
    journal.info(
        event,
        agent_id=certificate.agent_id,
        serial=certificate.serial,
        expires_unix=certificate.expires_unix,
    )
