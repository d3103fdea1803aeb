"""Who may log in: names and salted scrypt digests of passwords, in `operators.json` of the folder.

The file is replaced whole, readable by its owner only. It is read anew for every login and for
every request of a session, so that who is removed, or gets another password, is out at once. Each
change stands in the audit log. A name that nobody has costs as much time as a wrong password.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from cloud.console.limits import LIMITS
from cloud.errors import CloudReason, FolderError, OperatorError
from cloud.files import PRIVATE_FILE, read_capped, write_whole
from cloud.folder import CloudFolder
from cloud.orders import NAME
from cloud.store import audit
from cloud.store.database import Database

FILE = "operators.json"
LOCK = "operators.lock"
SALT_BYTES = 16
DIGEST_BYTES = 32
COST, BLOCK, PARALLEL = 2**14, 8, 5
"""scrypt's n, r and p: 16 MiB, and some tenths of a second."""
MEMORY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Operator:
    """Salt and digest in hexadecimal; both change with the password."""

    name: str
    salt: str
    digest: str


NOBODY = Operator("", "00" * SALT_BYTES, "00" * DIGEST_BYTES)


def read(cloud: CloudFolder) -> Mapping[str, Operator]:
    """All operators, by name; OperatorError for a file that is not ours."""
    path = cloud.path / FILE
    if not path.exists():
        return {}
    try:
        found = json.loads(read_capped(path, LIMITS.operators_file_bytes))
        operators = [Operator(**one) for one in found["operators"]]
        sizes = {(len(bytes.fromhex(o.salt)), len(bytes.fromhex(o.digest))) for o in operators}
    except (ValueError, TypeError, KeyError) as error:
        raise _malformed(path.name) from error
    if sizes - {(SALT_BYTES, DIGEST_BYTES)}:
        raise _malformed(path.name)
    return {one.name: one for one in operators}


def add(
    cloud: CloudFolder, database: Database, name: str, password: str, by: str, now_ns: int
) -> None:
    """A new operator; OperatorError for a name that is taken or can't be one."""
    _require_name(name)
    _require_password(password)
    with _changing(cloud) as operators:
        if name in operators:
            raise OperatorError(
                CloudReason.OPERATOR_EXISTS, f"{name}: is an operator; expected a new name"
            )
        if len(operators) >= LIMITS.operators:
            raise OperatorError(
                CloudReason.OPERATOR_INVALID, f"expected at most {LIMITS.operators} operators"
            )
        after = {**operators, name: _made(name, password)}
        _store(cloud, database, after, _Change(name, "added", by, now_ns))


def change(
    cloud: CloudFolder, database: Database, name: str, password: str, by: str, now_ns: int
) -> None:
    """Another password; sessions of the operator end."""
    _require_password(password)
    with _changing(cloud) as operators:
        _require_known(operators, name)
        after = {**operators, name: _made(name, password)}
        _store(cloud, database, after, _Change(name, "password changed", by, now_ns))


def remove(cloud: CloudFolder, database: Database, name: str, by: str, now_ns: int) -> None:
    """No operator any more; sessions of the operator end."""
    with _changing(cloud) as operators:
        _require_known(operators, name)
        after = {key: one for key, one in operators.items() if key != name}
        _store(cloud, database, after, _Change(name, "removed", by, now_ns))


def proven(operators: Mapping[str, Operator], name: str, password: str) -> Operator | None:
    """The operator, if the password is right; as slow for a name that nobody has."""
    operator = operators.get(name, NOBODY)
    if len(password) > LIMITS.longest_password:
        return None
    digest = _digest(password, bytes.fromhex(operator.salt))
    equal = hmac.compare_digest(digest, bytes.fromhex(operator.digest))
    return operator if equal and operator is not NOBODY else None


def _made(name: str, password: str) -> Operator:
    salt = secrets.token_bytes(SALT_BYTES)
    return Operator(name, salt.hex(), _digest(password, salt).hex())


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=COST,
        r=BLOCK,
        p=PARALLEL,
        maxmem=MEMORY_BYTES,
        dklen=DIGEST_BYTES,
    )


@contextmanager
def _changing(cloud: CloudFolder) -> Iterator[Mapping[str, Operator]]:
    """One change at a time."""
    cloud.require_made()
    try:
        descriptor = os.open(cloud.path / LOCK, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    except OSError as error:
        raise FolderError(
            CloudReason.FILE_UNWRITABLE, f"{cloud.path / LOCK}: {error.strerror}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield read(cloud)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Change:
    """What the audit log says of it."""

    name: str
    what: str
    by: str
    now_ns: int


def _store(
    cloud: CloudFolder, database: Database, operators: Mapping[str, Operator], change: _Change
) -> None:
    """The file, within the transaction of its entry: no change without one."""
    document = {"operators": [asdict(one) for _, one in sorted(operators.items())]}
    data = json.dumps(document, indent=1).encode("ascii") + b"\n"
    with database.writing() as connection:
        detail = {"operator": change.what}
        audit.append(connection, change.by, "operator", change.name, detail, change.now_ns)
        write_whole(cloud.path / FILE, data, PRIVATE_FILE)


def _require_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise OperatorError(
            CloudReason.OPERATOR_INVALID,
            f"operator {name!a:.100}: expected 1 to 63 of a-z 0-9 . _ -, a letter or digit first",
        )


def _require_known(operators: Mapping[str, Operator], name: str) -> None:
    if name not in operators:
        raise OperatorError(
            CloudReason.OPERATOR_UNKNOWN,
            f"operator {name!a:.100}: expected one of {', '.join(sorted(operators)) or 'none'}",
        )


def _require_password(password: str) -> None:
    if not LIMITS.shortest_password <= len(password) <= LIMITS.longest_password:
        raise OperatorError(
            CloudReason.PASSWORD_INVALID,
            f"a password of {len(password)} characters: expected "
            f"{LIMITS.shortest_password} to {LIMITS.longest_password}",
        )


def _malformed(name: str) -> OperatorError:
    return OperatorError(
        CloudReason.OPERATOR_INVALID, f"{name}: expected what `bulkhead cloud operator` writes"
    )
