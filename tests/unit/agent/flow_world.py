"""A content flow with a real store, real signatures, a clock of the test's and a sending link."""

import contextlib
import fcntl
import hashlib
import os
import resource
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.channel import Message
from agent.lifecycle import State
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.payload import Problem
from agent.supervisor.signature import TrustedKey
from agent.supervisor.store import Store
from agent.supervisor.trust import Trust
from content.signing_domains import CHANNEL_FILE_DOMAIN, KeySet, RollbackOrder

PRIVATE = Ed25519PrivateKey.generate()
KEY = TrustedKey(PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
TRUST = Trust(KeySet((KEY.raw,), 1))
PROBATION = 30.0
NOW = 1_800_000_000
DAY = 86_400
SEALED = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def hash_of(payload: bytes) -> str:
    """The name of a payload."""
    return hashlib.sha256(payload).hexdigest()


def memfd(payload: bytes, seals: int = SEALED) -> int:
    """A descriptor with a payload, as the link hands it over."""
    descriptor = os.memfd_create("content", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, payload)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def content(payload: bytes, template_type: int = 1, **different: Any) -> Message:
    """The link's message with a payload; descriptors, fields, the signature may be different."""
    descriptors = different.pop("descriptors", None)
    key_id = different.pop("key_id", KEY.key_id)
    signature = different.pop("signature", PRIVATE.sign(CHANNEL_FILE_DOMAIN + payload).hex())
    fields = {
        "hash": hash_of(payload),
        "signatures": [[key_id, signature]],
        "template_type": template_type,
        **different,
    }
    return Message(
        "content", fields, b"", (memfd(payload),) if descriptors is None else descriptors
    )


def revocation(content_hash: str, **different: Any) -> Message:
    """The link's message with a signed order; fields of it may be different, and its signature.

    `sign` is called with what is signed.
    """
    key_id, sign = different.pop("key_id", KEY.key_id), different.pop("sign", PRIVATE.sign)
    fields = {
        "template_type": 1,
        "from_version": 1,
        "to_version": 0,
        "group": "",
        "issued": NOW,
        "expires": NOW + DAY,
        "reason": "a reason",
        **different,
    }
    order = RollbackOrder(
        bytes.fromhex(content_hash),
        fields["template_type"],
        fields["from_version"],
        fields["to_version"],
        fields["group"],
        fields["issued"],
        fields["expires"],
        fields["reason"],
    )
    signature = different.get("signature", sign(order.signed_bytes()).hex())
    fields["signatures"] = [[key_id, signature]]
    fields.pop("signature", None)
    return Message("revoke", {"hash": content_hash, **fields})


@dataclass(slots=True)
class World:
    """The flow, what it has said, and the time."""

    folder: Path
    now: float = 1000.0
    wall: float = NOW
    trust: Trust = TRUST
    group: str = ""
    said: list[tuple[str, State, list[str]]] = field(default_factory=list)
    flow: ContentFlow = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> list[str]:
        """A supervisor's start; returns what the store had to leave out."""
        self.flow = ContentFlow(
            Store(self.folder),
            self.trust,
            PROBATION,
            self.say,
            self.group,
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )
        return self.flow.open()

    def restart(self) -> list[str]:
        """The supervisor ends and starts again."""
        self.flow.store.close()
        return self.start()

    def say(self, content_hash: str, state: State, problems: Sequence[Problem]) -> None:
        """Keep what the link would be told."""
        self.said.append((content_hash, state, [one["reason"] for one in problems]))

    def tried(self, payload: bytes, version: int, template_type: int = 1) -> str:
        """Receive a payload and let it pass its trial; returns its hash."""
        self.flow.receive(content(payload, template_type))
        trial = self.flow.candidate_set()
        assert trial is not None
        assert (trial[1].hash, trial[1].template_type) == (hash_of(payload), template_type)
        self.flow.passed(version)
        return hash_of(payload)

    def accepted(self, payload: bytes, version: int, template_type: int = 1) -> str:
        """Receive, try and accept a payload; returns its hash."""
        content_hash = self.tried(payload, version, template_type)
        self.now += PROBATION
        assert self.flow.accept_due()
        return content_hash

    def order(self, content_hash: str, **different: Any) -> Message:
        """A signed order about content as it is here."""
        previous = [file for files in self.flow.manifest.previous.values() for file in files]
        files = [*self.flow.manifest.active.values(), *previous]
        here = [file for file in files if file.hash == content_hash]
        facts = [{"template_type": f.template_type, "from_version": f.version} for f in here]
        known: dict[str, Any] = facts[0] if facts else {}
        return revocation(content_hash, **{**known, **different})

    def last(self) -> tuple[str, State, list[str]]:
        """What was said last."""
        return self.said[-1]

    def states(self, content_hash: str) -> list[State]:
        """All states of a payload that were said, in order."""
        return [state for one, state, _ in self.said if one == content_hash]

    def active(self) -> list[tuple[int, State]]:
        """Version and state of each active file."""
        files = self.flow.manifest.active.values()
        return [(file.version, file.state) for file in files]

    def payloads(self) -> set[str]:
        """What lies on the disk."""
        return {path.name for path in (self.folder / "payloads").iterdir()}


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
