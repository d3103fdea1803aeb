"""The tables, one paragraph each."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
)

SCHEMA_VERSION = 4
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
# session has, and which begins with the replica's name (`cloud.store.replicas`).
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

# A serving process: `name` says which folder of which host it serves. It is taken for dead at
# `expires` (seconds since the epoch, by the database's clock) unless it says before that it lives.
REPLICAS = Table(
    "replicas",
    METADATA,
    Column("replica", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("address", String, nullable=False),
    Column("unsafe", Boolean, nullable=False),
    Column("expires", Float, nullable=False),
)

# The replica that looks at rollouts, until `expires` at least; `term` rises whenever that is
# another one.
LEADERS = Table(
    "leaders",
    METADATA,
    Column("task", String, primary_key=True),
    Column("replica", String, nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("expires", Float, nullable=False),
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

# A certificate that an agent was given, until it has expired; `source` says by what,
# `parent` from which other one it was renewed. `revoked` is how it was made good for nothing: with
# its agent, by itself, or not at all (cloud.store.certificates). `serial` is hexadecimal.
CERTIFICATES = Table(
    "certificates",
    METADATA,
    Column("serial", String, primary_key=True),
    Column("agent_id", String, nullable=False, index=True),
    Column("issued_unix", BigInteger, nullable=False),
    Column("expires_unix", BigInteger, nullable=False, index=True),
    Column("source", String, nullable=False),
    Column("parent", String, nullable=False),
    Column("revoked", String, nullable=False),
)

# The certificate that a host has shown last.
HOST_CERTIFICATES = Table(
    "host_certificates",
    METADATA,
    Column("agent_id", String, primary_key=True),
    Column("serial", String, nullable=False),
    Column("expires_unix", BigInteger, nullable=False),
)

# An agent that may not have anything until that is lifted.
EXPULSIONS = Table(
    "expulsions",
    METADATA,
    Column("agent_id", String, primary_key=True),
    Column("time_unix_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

# A join token (`cloud.join_tokens.Token`): a digest of it, never itself.
JOIN_TOKENS = Table(
    "join_tokens",
    METADATA,
    Column("token_id", String, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("agent_id", String, nullable=False),
    Column("group", String, nullable=False),
    Column("expires_unix", BigInteger, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("created_unix_ns", BigInteger, nullable=False),
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

# Where the rollout of a release stands (`cloud.rollout.engine.Rollout`); `plan` and `verdicts` are
# JSON. `new_instances`, `after_crash` and `after_detection` are as of its beginning. `revision`
# rises with every change of state.
ROLLOUTS = Table(
    "rollouts",
    METADATA,
    Column("content_hash", LargeBinary, primary_key=True),
    Column("template_type", BigInteger, nullable=False),
    Column("version", Unsigned64, nullable=False),
    Column("started_unix_ns", BigInteger, nullable=False),
    Column("new_instances", Text, nullable=False),
    Column("prevents", Boolean, nullable=False),
    Column("after_crash", BigInteger, nullable=False),
    Column("after_detection", BigInteger, nullable=False),
    Column("plan", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("looked_unix_ns", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("baked", Float, nullable=False),
    Column("waited", Float, nullable=False),
    Column("general_since", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("verdicts", Text, nullable=False),
)

# A host that may be reached by a rollout before it is complete.
ROLLOUT_SEATS = Table(
    "rollout_seats",
    METADATA,
    Column("content_hash", LargeBinary, primary_key=True),
    Column("agent_id", String, primary_key=True),
)

# The group of a host that is not in the default one.
HOST_GROUPS = Table(
    "host_groups",
    METADATA,
    Column("agent_id", String, primary_key=True),
    Column("group", String, nullable=False),
)

# A Content Update Policy, by group and Template Type (0: all without one of their own).
POLICIES = Table(
    "policies",
    METADATA,
    Column("group", String, primary_key=True),
    Column("template_type", BigInteger, primary_key=True),
    Column("ring", String, nullable=False),
    Column("delay_hours", Float, nullable=False),
    Column("pinned", Unsigned64, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("prevention", Boolean, nullable=False),
)

# The plan by which new rollouts begin, as JSON.
PLANS = Table(
    "plans",
    METADATA,
    Column("name", String, primary_key=True),
    Column("plan", Text, nullable=False),
)

# The audit log. `digest` is a SHA-256 over the entry and the digest of the one before it.
AUDIT = Table(
    "audit",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("time_unix_ns", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)


SQLITE_REFUSES = (
    "CREATE TRIGGER audit_no_{0} BEFORE {0} ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
)
POSTGRESQL_REFUSES = """
    CREATE FUNCTION audit_refuses_{0}() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
    CREATE TRIGGER audit_no_{0} BEFORE {0} ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses_{0}()
"""


@event.listens_for(AUDIT, "after_create")
def _append_only(_: Table, connection: Connection, **__: object) -> None:
    if connection.dialect.name == "sqlite":
        for verb in ("update", "delete"):
            connection.exec_driver_sql(SQLITE_REFUSES.format(verb))
        return
    for verb in ("update", "delete", "truncate"):
        connection.exec_driver_sql(POSTGRESQL_REFUSES.format(verb))


def _reports(name: str) -> Table:
    """Reports as sent (`report`: the serialised message), each once per agent and id."""
    return Table(
        name,
        METADATA,
        Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
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
