"""What can go wrong in the cloud: one root error, a stable reason code on each.

Messages name the file or the agent, what was found and what was expected; never a key.
"""

from enum import StrEnum


class CloudReason(StrEnum):
    """Why the cloud refused or could not go on. Codes are never renamed or reused.

    Reasons for refused content are `content.reasons.Reason`; the last group below adds those that
    only the cloud can find.
    """

    # Folder and database
    FOLDER_MISSING = "FOLDER_MISSING"
    FOLDER_EXISTS = "FOLDER_EXISTS"
    FOLDER_IN_USE = "FOLDER_IN_USE"
    FILE_UNREADABLE = "FILE_UNREADABLE"
    FILE_UNWRITABLE = "FILE_UNWRITABLE"
    DATABASE_MISSING = "DATABASE_MISSING"
    DATABASE_LOCKED = "DATABASE_LOCKED"
    DATABASE_CORRUPT = "DATABASE_CORRUPT"
    DATABASE_VERSION = "DATABASE_VERSION"
    DATABASE_ERROR = "DATABASE_ERROR"
    DATABASE_EXISTS = "DATABASE_EXISTS"
    DATABASE_UNREACHABLE = "DATABASE_UNREACHABLE"
    DATABASE_ADDRESS_INVALID = "DATABASE_ADDRESS_INVALID"
    DISK_FULL = "DISK_FULL"
    # Keys and certificates
    KEY_MISSING = "KEY_MISSING"
    KEY_INVALID = "KEY_INVALID"
    KEY_EXPOSED = "KEY_EXPOSED"
    KEY_NOT_TRUSTED = "KEY_NOT_TRUSTED"
    KEY_THRESHOLD = "KEY_THRESHOLD"
    ROOT_INVALID = "ROOT_INVALID"
    ROLE_UNKNOWN = "ROLE_UNKNOWN"
    CERTIFICATE_INVALID = "CERTIFICATE_INVALID"
    # Enrolment
    ENROLMENT_BUSY = "ENROLMENT_BUSY"
    ENROLMENT_UNAVAILABLE = "ENROLMENT_UNAVAILABLE"
    TOKEN_REFUSED = "TOKEN_REFUSED"  # noqa: S105  a reason code
    TOKEN_UNKNOWN = "TOKEN_UNKNOWN"  # noqa: S105  a reason code
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105  a reason code
    CSR_INVALID = "CSR_INVALID"
    CSR_KEY = "CSR_KEY"
    CSR_NAME = "CSR_NAME"
    CSR_EXTENSION = "CSR_EXTENSION"
    PROOF_INVALID = "PROOF_INVALID"
    CERTIFICATE_FOREIGN = "CERTIFICATE_FOREIGN"
    CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"
    CERTIFICATE_REVOKED = "CERTIFICATE_REVOKED"
    CERTIFICATE_UNKNOWN = "CERTIFICATE_UNKNOWN"
    NO_SESSION = "NO_SESSION"
    TOO_MANY_RENEWALS = "TOO_MANY_RENEWALS"
    # Serving
    ADDRESS_INVALID = "ADDRESS_INVALID"
    ADDRESS_IN_USE = "ADDRESS_IN_USE"
    NOT_SERVING = "NOT_SERVING"
    NO_ANSWER = "NO_ANSWER"
    NATS_ADDRESS_INVALID = "NATS_ADDRESS_INVALID"
    NOT_LEADER = "NOT_LEADER"
    REPLICA_EXPIRED = "REPLICA_EXPIRED"
    # Session
    AGENT_ID_INVALID = "AGENT_ID_INVALID"
    AGENT_ID_MISMATCH = "AGENT_ID_MISMATCH"
    CERTIFICATE_WITHOUT_AGENT_ID = "CERTIFICATE_WITHOUT_AGENT_ID"
    HELLO_MISSING = "HELLO_MISSING"
    HELLO_LATE = "HELLO_LATE"
    MESSAGE_INVALID = "MESSAGE_INVALID"
    UNKNOWN_PROTOBUF_FIELD = "UNKNOWN_PROTOBUF_FIELD"
    SESSION_REPLACED = "SESSION_REPLACED"
    ADMISSION = "ADMISSION"
    TOO_MANY_SESSIONS = "TOO_MANY_SESSIONS"
    TOO_MANY_FETCHES = "TOO_MANY_FETCHES"
    OUTGOING_QUEUE_FULL = "OUTGOING_QUEUE_FULL"
    WRITE_STALLED = "WRITE_STALLED"
    CLOUD_STOPPING = "CLOUD_STOPPING"
    # Content
    CONTENT_UNKNOWN = "CONTENT_UNKNOWN"
    CONTENT_AMBIGUOUS = "CONTENT_AMBIGUOUS"
    CONTENT_REVOKED = "CONTENT_REVOKED"
    NOT_OFFERED = "NOT_OFFERED"
    CONTENT_REFUSED = "CONTENT_REFUSED"
    RELEASE_OUTDATED = "RELEASE_OUTDATED"
    METADATA_MISSING = "METADATA_MISSING"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    VALIDATOR_FAILED = "VALIDATOR_FAILED"
    # Rollouts, policies and the audit log
    ROLLOUT_UNKNOWN = "ROLLOUT_UNKNOWN"
    ROLLOUT_CHANGED = "ROLLOUT_CHANGED"
    ROLLOUT_REFUSED = "ROLLOUT_REFUSED"
    POLICY_INVALID = "POLICY_INVALID"
    AUDIT_BROKEN = "AUDIT_BROKEN"
    # Incidents
    REPORT_UNKNOWN = "REPORT_UNKNOWN"
    REPORT_AMBIGUOUS = "REPORT_AMBIGUOUS"
    # Console
    OPERATOR_INVALID = "OPERATOR_INVALID"
    OPERATOR_UNKNOWN = "OPERATOR_UNKNOWN"
    OPERATOR_EXISTS = "OPERATOR_EXISTS"
    PASSWORD_INVALID = "PASSWORD_INVALID"  # noqa: S105  a reason code
    LOGIN_REFUSED = "LOGIN_REFUSED"
    LOGIN_THROTTLED = "LOGIN_THROTTLED"
    FORM_INVALID = "FORM_INVALID"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    REQUEST_LATE = "REQUEST_LATE"
    PAGE_UNKNOWN = "PAGE_UNKNOWN"
    TOO_MANY_STREAMS = "TOO_MANY_STREAMS"


class CloudError(Exception):
    """Root of the cloud's errors; `reason` is stable, the message is for people."""

    def __init__(self, reason: CloudReason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class FolderError(CloudError):
    """The cloud's folder or a file in it is missing, in use or unreadable."""


class KeyFileError(CloudError):
    """A key or certificate can't be used."""


class StoreError(CloudError):
    """The database refused; nothing of the transaction was stored.

    But for DATABASE_UNREACHABLE: where the connection broke during the commit, it may have been.
    """


class AddressError(CloudError):
    """The cloud can't listen where it was told to."""


class ContentStateError(CloudError):
    """Stored content is not what the operator takes it for: unknown, ambiguous or revoked."""


class PolicyError(CloudError):
    """A group, policy or plan that can't be set as it was asked for."""


class AuditError(CloudError):
    """The audit log is not what was written."""


class RecordsError(CloudError):
    """No crash report is meant, or several are."""


class EnrolmentError(CloudError):
    """A token, certificate or agent that an operator can't mean."""


class OperatorError(CloudError):
    """An operator of the console, or a password, that can't be meant."""


class RequestError(CloudError):
    """A request to the console that is refused; nobody else's is affected."""


class SessionError(CloudError):
    """A session or fetch of one agent has to end; nobody else is affected.

    retry_after_ms: a hint to the agent when to come back, where it should not choose itself.
    """

    def __init__(
        self, reason: CloudReason, message: str, retry_after_ms: int | None = None
    ) -> None:
        self.retry_after_ms = retry_after_ms
        super().__init__(reason, message)
