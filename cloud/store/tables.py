"""The tables, one paragraph each."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

SCHEMA_VERSION = 2
METADATA = MetaData()
HALF = 2**63


class Unsigned64(TypeDecorator[int]):
    """A uint64 of the wire in a signed 64-bit column, shifted so that its order is kept."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """The number as stored."""
        del dialect
        return None if value is None else value - HALF

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        """The number as sent."""
        del dialect
        return None if value is None else int(value) + HALF


SCHEMA = Table("schema", METADATA, Column("version", Integer, primary_key=True))

# A Channel File that an operator pushed. `push` rises with every push of any file, also when the
# same file is pushed again, which offers it once more to hosts that had refused it. `signed` is the
# serialised SignedChannelFile, exactly as agents fetch it. `halt_order` is a rollback order that
# was signed with it (a serialised Revocation), by which a rollout is halted without a key.
RELEASES = Table(
    "releases",
    METADATA,
    Column("content_hash", LargeBinary, primary_key=True),
    Column("template_type", BigInteger, nullable=False),
    Column("version", Unsigned64, nullable=False),
    Column("instances", Integer, nullable=False),
    Column("push", Integer, nullable=False, unique=True),
    Column("pushed_unix_ns", BigInteger, nullable=False),
    Column("unsafe", Boolean, nullable=False),
    Column("signed", LargeBinary, nullable=False),
    Column("halt_order", LargeBinary, nullable=False),
)

# Metadata of the TUF repository, as signed.
TRUST_METADATA = Table(
    "trust_metadata",
    METADATA,
    Column("role", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

# A rollback order: to give a Channel File up; `revocation` is the serialised message.
REVOCATIONS = Table(
    "revocations",
    METADATA,
    Column("content_hash", LargeBinary, primary_key=True),
    Column("revoked_unix_ns", BigInteger, nullable=False),
    Column("revocation", LargeBinary, nullable=False),
)

# One row per agent: its last hello and heartbeat, as sent. `sensor` is a digest of what decides
# whether content fits it. `session` is set while the agent is connected, to a value that no other
# session has.
HOSTS = Table(
    "hosts",
    METADATA,
    Column("agent_id", String, primary_key=True),
    Column("hello", LargeBinary, nullable=False),
    Column("heartbeat", LargeBinary, nullable=False),
    Column("sensor", LargeBinary, nullable=False),
    Column("first_seen_unix_ns", BigInteger, nullable=False),
    Column("last_seen_unix_ns", BigInteger, nullable=False),
    Column("session", String),
)

# What a host says is active, per Template Type.
HOST_ACTIVE = Table(
    "host_active",
    METADATA,
    Column("agent_id", String, primary_key=True),
    Column("template_type", BigInteger, primary_key=True),
    Column("version", Unsigned64, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("state", Integer, nullable=False),
)

# Where a release stands on a host (`cloud.offers.Standing`), with the refusals as JSON. `push` is
# the push that the standing answers.
HOST_CONTENT = Table(
    "host_content",
    METADATA,
    Column("agent_id", String, primary_key=True),
    Column("content_hash", LargeBinary, primary_key=True),
    Column("standing", String, nullable=False),
    Column("push", Integer, nullable=False),
    Column("refusals", Text, nullable=False),
    Column("changed_unix_ns", BigInteger, nullable=False),
)


def _reports(name: str) -> Table:
    """Reports as sent (`report`: the serialised message), each once per agent and id."""
    return Table(
        name,
        METADATA,
        Column("number", Integer, primary_key=True),
        Column("agent_id", String, nullable=False),
        Column("report_id", String, nullable=False),
        Column("time_unix_ns", BigInteger, nullable=False),
        Column("received_unix_ns", BigInteger, nullable=False),
        Column("count", BigInteger, nullable=False),
        Column("report", LargeBinary, nullable=False),
        UniqueConstraint("agent_id", "report_id"),
    )


# `number` rises with every report stored; `count` is how many lost events a loss report stands
# for, and 1 for the others.
DETECTIONS = _reports("detections")
CRASHES = _reports("crashes")
LOSSES = _reports("losses")
