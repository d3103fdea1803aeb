"""The operator's side of a push: read, validate, sign, store. All files or none.

    1. every file is read, no further than its limit, and its envelope opened strictly
    2. the Content Validator refuses what does not fit the cloud's own Definitions, and warns of
       what is costly
    3. the payload is signed, with keys that the cloud trusts; it becomes a target of the repository
    4. an order to give it up is signed as well, by which its rollout can be halted
    5. one transaction stores everything and begins the rollouts; a version must be newer than those
       pushed before. A file whose rollout is under way goes on where it is

`unsafe` leaves out what 1, 2 and 5 would refuse, so that a sensor's own refusal can be tried.
Keys may have signed elsewhere, before (cloud.presigned): then all is computed as of that moment,
and stored only if it comes to what they have signed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf.message import DecodeError
from sqlalchemy import Connection

from bulkhead.v1.channel_file_pb2 import DISPOSITION_PREVENT, ChannelFile, SignedChannelFile
from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.errors import CloudReason, ContentStateError, KeyFileError
from cloud.files import read_capped
from cloud.limits import LIMITS
from cloud.offers import Release
from cloud.refusals import Refusal, from_problems
from cloud.repository import Target
from cloud.revoke import order_of, signed_order, version_before
from cloud.rollout.table import STAGES, State
from cloud.signing import Signer, TrustedKey, envelope
from cloud.store import policies, releases, rollouts
from cloud.store.audit import UNNAMED
from cloud.store.database import Database
from cloud.targets import change_targets
from cloud.validation import problems_of
from content.advice import warnings_of
from content.channel_file import content_hash, load, load_envelope
from content.instance_digest import instance_digests
from content.limits import LIMITS as CONTENT_LIMITS
from content.problems import ContentError
from content.reasons import Reason
from content.supply import Supply
from content.template_type import Rung, TemplateType

HALTED = "its rollout was halted"
"""What hosts are told by the order that is signed with a push."""


@dataclass(frozen=True, slots=True)
class FileRefusals:
    """Why one file was not pushed."""

    file: Path
    refusals: tuple[Refusal, ...]


class PushRefusedError(Exception):
    """At least one file was refused, and none was pushed."""

    def __init__(self, files: Sequence[FileRefusals]) -> None:
        self.files = tuple(files)
        first = self.files[0].refusals[0]
        super().__init__(f"{self.files[0].file}: {first.reason} at {first.place}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be pushed; type and version are 0 where an unsafe payload names none.

    digests: of its instances, by id. warnings: what an author should think over; nothing is refused
    for them.
    """

    file: Path
    payload: bytes
    template_type: int
    version: int
    instances: int
    prevents: bool
    digests: Mapping[str, bytes]
    warnings: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Pushed:
    """A file that was stored; `repeated` if the same content had been pushed before."""

    file: Path
    content_hash: bytes
    template_type: int
    version: int
    instances: int
    push: int
    repeated: bool
    warnings: tuple[Refusal, ...] = ()


def require_trusted(keys: Sequence[Signer], trusted: Sequence[TrustedKey]) -> None:
    """KeyFileError unless the cloud, and so its agents, trust these keys."""
    for key in keys:
        if key.key_id not in {one.key_id for one in trusted}:
            raise KeyFileError(
                CloudReason.KEY_NOT_TRUSTED,
                f"key {key.key_id}: expected one of {', '.join(one.key_id for one in trusted)}",
            )


def read_candidates(
    files: Sequence[Path], types: Mapping[int, TemplateType], *, unsafe: bool
) -> list[Candidate]:
    """Steps 1 and 2. Raises PushRefusedError with every problem of every file."""
    candidates: list[Candidate] = []
    refused: list[FileRefusals] = []
    for file in files:
        try:
            candidates.append(_read_unsafely(file) if unsafe else _read(file, types))
        except ContentError as error:
            refused.append(FileRefusals(file, from_problems(error.problems)))
    if refused:
        raise PushRefusedError(refused)
    return sorted(candidates, key=lambda one: (one.template_type, one.version))


def store(
    database: Database,
    candidates: Sequence[Candidate],
    keys: Sequence[Signer],
    now_ns: int,
    *,
    unsafe: bool,
    by: str = UNNAMED,
) -> list[Pushed]:
    """Steps 3 to 5. PushRefusedError or CloudError, and nothing is stored then."""
    return _store(database, candidates, _Order(keys, now_ns, now_ns, unsafe, by))


def store_presigned(
    database: Database,
    candidate: Candidate,
    keys: Sequence[Signer],
    signed_ns: int,
    now_ns: int,
    by: str = UNNAMED,
) -> Pushed:
    """The same with keys that have signed elsewhere, at `signed_ns`.

    ContentStateError if what the push comes to now, as of that moment, is not what they signed.
    """
    order = _Order(keys, signed_ns, now_ns, unsafe=False, by=by)
    (pushed,) = _store(database, [candidate], order)
    return pushed


@dataclass(frozen=True, slots=True)
class _Order:
    """How it is pushed: times in ns; what is signed is as of `signed_ns`."""

    keys: Sequence[Signer]
    signed_ns: int
    now_ns: int
    unsafe: bool
    by: str


def _store(database: Database, candidates: Sequence[Candidate], order: _Order) -> list[Pushed]:
    keys, signed_ns, unsafe = order.keys, order.signed_ns, order.unsafe
    signed = [envelope(one.payload, keys).SerializeToString() for one in candidates]
    with database.writing() as connection:
        pushed = []
        for candidate, data in zip(candidates, signed, strict=True):
            repeated = require_acceptable(connection, candidate, unsafe=unsafe)
            new = releases.NewRelease(
                content_hash=content_hash(candidate.payload),
                template_type=candidate.template_type,
                version=candidate.version,
                instances=candidate.instances,
                unsafe=unsafe,
                signed=data,
                halt_order=halt_order(connection, candidate, keys, signed_ns).SerializeToString(),
            )
            number = releases.push(connection, new, order.now_ns)
            _roll_out(connection, candidate, order.by, order.now_ns)
            pushed.append(_pushed(candidate, new, number, repeated=repeated))
        targets = [target_of(one) for one in candidates]
        change_targets(connection, keys, signed_ns, add=targets, remove=(), unsafe=unsafe)
    return pushed


def require_acceptable(connection: Connection, candidate: Candidate, *, unsafe: bool) -> bool:
    """Whether the same content was pushed before.

    ContentStateError if it was revoked, PushRefusedError if something newer was pushed.
    """
    name = content_hash(candidate.payload)
    known = {one.content_hash: one for one in releases.all_releases(connection)}
    if name in known and known[name].revoked:
        raise ContentStateError(
            CloudReason.CONTENT_REVOKED, f"{candidate.file}: {name.hex()} was revoked"
        )
    if name not in known and not unsafe:
        _require_newer(connection, candidate)
    return name in known


def target_of(candidate: Candidate) -> Target:
    """What a candidate becomes in the repository."""
    name = content_hash(candidate.payload)
    return Target(candidate.payload, name, candidate.template_type, candidate.version)


def halt_order(
    connection: Connection, candidate: Candidate, keys: Sequence[Signer], now_ns: int
) -> Revocation:
    """The signed order by which the candidate's rollout can be halted."""
    known = releases.all_releases(connection)
    name = content_hash(candidate.payload)
    release = Release(name, candidate.template_type, candidate.version, 0, 0)
    order = order_of(release, version_before(known, release), HALTED, now_ns)
    return signed_order(order, keys)


def _roll_out(connection: Connection, candidate: Candidate, by: str, now_ns: int) -> None:
    """Begin the rollout, unless it is under way already."""
    name = content_hash(candidate.payload)
    known = rollouts.find(connection, name)
    if known is not None and known.rollout.state in STAGES:
        return
    proven = _proven(connection, candidate.template_type)
    started = rollouts.Started(
        content_hash=name,
        template_type=candidate.template_type,
        version=candidate.version,
        started_unix_ns=now_ns,
        new_instances=tuple(
            instance for instance, digest in candidate.digests.items() if digest not in proven
        ),
        prevents=candidate.prevents,
    )
    rollouts.start(connection, started, policies.plan(connection), by)


def _proven(connection: Connection, template_type: int) -> frozenset[bytes]:
    """Digests of the instances in the newest complete version of a Template Type."""
    complete = [
        one.started
        for one in rollouts.all_rollouts(connection)
        if one.started.template_type == template_type and one.rollout.state is State.COMPLETE
    ]
    if not complete:
        return frozenset()
    newest = max(complete, key=lambda one: one.version)
    signed = releases.signed_bytes(connection, newest.content_hash)
    payload = SignedChannelFile.FromString(signed).payload if signed else b""
    return frozenset(_instances(payload).values())


def _instances(payload: bytes) -> dict[str, bytes]:
    """Digests by id; none where the payload is no Channel File."""
    try:
        channel_file = load(payload)
        digests = instance_digests(payload, channel_file)
    except ContentError:
        return {}
    return {one.id: digest for one, digest in zip(channel_file.instances, digests, strict=True)}


def _read(file: Path, types: Mapping[int, TemplateType]) -> Candidate:
    payload = load_envelope(read_capped(file, CONTENT_LIMITS.envelope_bytes)).payload
    if problems := problems_of(payload, Supply.of(types, Rung.BPF_BTF), types):
        raise ContentError(problems)
    channel_file = load(payload)
    warnings = warnings_of(channel_file, types[channel_file.template_type.number])
    candidate = _candidate(file, payload, ChannelFile.FromString(payload))
    return replace(candidate, warnings=from_problems(warnings))


def _read_unsafely(file: Path) -> Candidate:
    """Whatever is in the file, up to a cap; unreadable bytes are a payload as well."""
    data = read_capped(file, LIMITS.unsafe_file_bytes)
    if len(data) > LIMITS.unsafe_file_bytes:
        load_envelope(data)  # refuses it, with the reason that an author knows
    try:
        payload = load_envelope(data).payload
    except ContentError:
        payload = data
    try:
        message = ChannelFile.FromString(payload)
    except DecodeError:
        message = ChannelFile()
    return _candidate(file, payload, message)


def _candidate(file: Path, payload: bytes, message: ChannelFile) -> Candidate:
    return Candidate(
        file=file,
        payload=payload,
        template_type=message.template_type.number,
        version=message.version,
        instances=len(message.instances),
        prevents=any(one.disposition == DISPOSITION_PREVENT for one in message.instances),
        digests=_instances(payload),
    )


def _require_newer(connection: Connection, candidate: Candidate) -> None:
    newest = releases.newest_version(connection, candidate.template_type)
    if candidate.version <= newest:
        refusal = Refusal(
            Reason.VERSION_NOT_NEWER,
            "version",
            str(candidate.version),
            f"above {newest}, the newest that was pushed for this Template Type",
        )
        raise PushRefusedError([FileRefusals(candidate.file, (refusal,))])


def _pushed(
    candidate: Candidate, new: releases.NewRelease, number: int, *, repeated: bool
) -> Pushed:
    return Pushed(
        file=candidate.file,
        content_hash=new.content_hash,
        template_type=new.template_type,
        version=new.version,
        instances=new.instances,
        push=number,
        repeated=repeated,
        warnings=candidate.warnings,
    )
