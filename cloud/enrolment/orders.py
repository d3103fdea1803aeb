"""The operators' side of enrolment: tokens, certificates made at the desk, and who is expelled.

Each order is one transaction, with its entry in the audit log. A serving process that runs ends the
sessions of who was expelled as soon as it sees that, which is in the twentieth part of a second.
"""

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud.addresses import require_address
from cloud.authority import require_agent_id
from cloud.errors import CloudReason, EnrolmentError, FolderError
from cloud.files import PRIVATE_FILE, make_private_folder, read_capped, write_whole
from cloud.folder import CloudFolder
from cloud.issuing import issue_with_new_key
from cloud.join_tokens import ANY_AGENT, Token, digest_of, new_secret
from cloud.limits import LIMITS
from cloud.orders import require_group
from cloud.store import certificates
from cloud.store.database import Database

JOIN_FORMAT = 1
DESK_LIFETIME = timedelta(days=365)
"""Of a certificate whose key is made here, for hosts that can't join: tests and laboratories."""
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """For whom a token is and how long. Texts may be empty; address is HOST:PORT."""

    agent_id: str
    group: str
    uses: int
    hours: float
    address: str


def make_token(folder: CloudFolder, terms: TokenTerms, output: Path, by: str) -> Token:
    """Write a join file, which is a secret, and store what proves it.

    EnrolmentError for terms that can't be meant, FolderError if there is a file already.
    """
    _require_terms(terms)
    if output.exists():
        raise FolderError(
            CloudReason.FOLDER_EXISTS, f"{output}: already exists; expected a new file"
        )
    now = datetime.now(UTC)
    expires = now + timedelta(hours=terms.hours)
    token_id, text = new_secret()
    token = Token(
        token_id,
        digest_of(text),
        terms.agent_id or ANY_AGENT,
        terms.group,
        int(expires.timestamp()),
        terms.uses,
    )
    document = {
        "format": JOIN_FORMAT,
        "address": terms.address,
        "token": text,
        "agent_id": terms.agent_id,
        "expires": expires.isoformat(timespec="seconds"),
        "authority": _authority(folder).decode("ascii"),
        "root": folder.root().to_bytes().decode("utf-8"),
    }
    with closing(folder.open()) as database, database.writing() as connection:
        certificates.add_token(connection, token, by, _nanoseconds(now))
        write_whole(output, json.dumps(document, indent=2).encode("ascii") + b"\n", PRIVATE_FILE)
    return token


def withdraw_token(database: Database, token_id: str, by: str) -> None:
    """Nobody joins with it any more; EnrolmentError if there is none of this id."""
    with database.writing() as connection:
        if certificates.token(connection, token_id) is None:
            raise EnrolmentError(
                CloudReason.TOKEN_UNKNOWN,
                f"{token_id!a:.80}: no such token; see `bulkhead cloud token list`",
            )
        certificates.withdraw_token(connection, token_id, by, _nanoseconds(datetime.now(UTC)))


def enrol(
    folder: CloudFolder,
    agent_id: str,
    output: Path,
    now: datetime,
    lifetime: timedelta = DESK_LIFETIME,
) -> None:
    """Write what an agent needs to `output`: agent.pem, agent.key, ca.pem and root.json.

    Raises KeyFileError for a malformed id, FolderError if the output holds an agent's key already.
    """
    folder.require_made()
    require_agent_id(agent_id)
    root = folder.root()
    issued, key = issue_with_new_key(folder.issuer(), agent_id, now, lifetime)
    make_private_folder(output)
    if (output / "agent.key").exists():
        raise FolderError(
            CloudReason.FOLDER_EXISTS, f"{output}: holds an agent's key; expected a new folder"
        )
    with closing(folder.open()) as database, database.writing() as connection:
        _require_not_expelled(certificates.expelled(connection), agent_id)
        keep_from = int((now - timedelta(hours=LIMITS.renewal_grace_hours)).timestamp())
        certificates.add(connection, issued.certificate, "enroll", "", keep_from)
    write_whole(output / "ca.pem", _authority(folder))
    write_whole(output / "root.json", root.to_bytes())
    write_whole(output / "agent.pem", issued.chain_pem)
    write_whole(output / "agent.key", key, PRIVATE_FILE)


def expel(database: Database, agent_id: str, serial: str, by: str, reason: str) -> list[str]:
    """End an agent's part in the fleet, or revoke one certificate; serials that are revoked now.

    EnrolmentError if that agent has no certificate with this serial number.
    """
    require_agent_id(agent_id)
    now_ns = _nanoseconds(datetime.now(UTC))
    with database.writing() as connection:
        if serial:
            serial = _serial(serial)
            _require_certificate(certificates.find(connection, serial), agent_id, serial)
            return certificates.revoke(connection, agent_id, serial, by, reason, now_ns)
        certificates.expel_agent(connection, agent_id, by, reason, now_ns)
        known = certificates.known(connection, agent_id)
        return [one.certificate.serial for one in known]


def lift(
    database: Database, agent_id: str, serial: str, by: str, *, with_certificates: bool
) -> None:
    """Take that back; EnrolmentError if there is nothing to take back."""
    require_agent_id(agent_id)
    now_ns = _nanoseconds(datetime.now(UTC))
    with database.writing() as connection:
        if serial:
            serial = _serial(serial)
            _require_certificate(certificates.find(connection, serial), agent_id, serial)
            certificates.lift_certificate(connection, agent_id, serial, by, now_ns)
        elif not certificates.lift_agent(
            connection, agent_id, by, now_ns, with_certificates=with_certificates
        ):
            raise EnrolmentError(
                CloudReason.CERTIFICATE_UNKNOWN, f"{agent_id}: was not expelled; nothing to lift"
            )


def certificate_hours(hours: float) -> timedelta:
    """How long certificates are to be good; EnrolmentError for what makes no sense."""
    if not 0 < hours <= LIMITS.longest_certificate_hours:  # false for what is no number, too
        raise EnrolmentError(
            CloudReason.TOKEN_INVALID,
            f"{hours} hours: expected more than 0, at most {LIMITS.longest_certificate_hours:g}",
        )
    return timedelta(hours=hours)


def _require_terms(terms: TokenTerms) -> None:
    if terms.agent_id:
        require_agent_id(terms.agent_id)
    if terms.group:
        require_group(terms.group)
    if terms.address:
        require_address(terms.address)
    if not 1 <= terms.uses <= LIMITS.token_uses:
        raise EnrolmentError(
            CloudReason.TOKEN_INVALID, f"{terms.uses} uses: expected 1 to {LIMITS.token_uses}"
        )
    if not 0 < terms.hours <= LIMITS.longest_token_hours:
        raise EnrolmentError(
            CloudReason.TOKEN_INVALID,
            f"{terms.hours} hours: expected more than 0, at most {LIMITS.longest_token_hours:g}",
        )


def _serial(text: str) -> str:
    try:
        return f"{int(text.replace(':', ''), 16):x}"
    except ValueError:
        raise EnrolmentError(
            CloudReason.CERTIFICATE_UNKNOWN, f"serial {text!a:.80}: expected hexadecimal digits"
        ) from None


def _require_certificate(known: certificates.Known | None, agent_id: str, serial: str) -> None:
    if known is None or known.certificate.agent_id != agent_id:
        raise EnrolmentError(
            CloudReason.CERTIFICATE_UNKNOWN,
            f"{agent_id} has no certificate {serial:.80}; see `bulkhead cloud certificates`",
        )


def _require_not_expelled(expelled: certificates.Expelled, agent_id: str) -> None:
    if agent_id in expelled.agents:
        raise EnrolmentError(
            CloudReason.CERTIFICATE_REVOKED,
            f"{agent_id} was expelled; `bulkhead cloud expel {agent_id} --lift` takes that back",
        )


def _authority(folder: CloudFolder) -> bytes:
    return read_capped(folder.authority_certificate, LIMITS.key_file_bytes)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * NANOSECONDS)
