"""Which HTTP status goes with a reason code; an order that is refused is a conflict."""

from http import HTTPStatus
from types import MappingProxyType

from cloud.errors import CloudReason

STATUSES = MappingProxyType(
    {
        CloudReason.AGENT_ID_INVALID: HTTPStatus.BAD_REQUEST,
        CloudReason.POLICY_INVALID: HTTPStatus.BAD_REQUEST,
        CloudReason.FORM_INVALID: HTTPStatus.FORBIDDEN,
        CloudReason.LOGIN_REFUSED: HTTPStatus.FORBIDDEN,
        CloudReason.PAGE_UNKNOWN: HTTPStatus.NOT_FOUND,
        CloudReason.ROLLOUT_UNKNOWN: HTTPStatus.NOT_FOUND,
        CloudReason.REPORT_UNKNOWN: HTTPStatus.NOT_FOUND,
        CloudReason.REQUEST_LATE: HTTPStatus.REQUEST_TIMEOUT,
        CloudReason.REQUEST_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        CloudReason.LOGIN_THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
        CloudReason.TOO_MANY_STREAMS: HTTPStatus.TOO_MANY_REQUESTS,
        CloudReason.DATABASE_LOCKED: HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
BY_CODE = {reason.value: status for reason, status in STATUSES.items()}


def status_of(reason: str) -> int:
    """The status for a reason code."""
    return BY_CODE.get(reason, HTTPStatus.CONFLICT).value
