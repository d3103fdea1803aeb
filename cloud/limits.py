"""Every limit of the cloud, with its unit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CloudLimits:
    """Caps and deadlines; a test may pass its own."""

    # Wire, in bytes.
    receive_bytes: int = 1024 * 1024
    chunk_bytes: int = 64 * 1024
    metadata_bytes: int = 16 * 1024
    streams_per_connection: int = 8
    tls_record_bytes: int = 1024

    # Admission: sessions that may begin in a second, and at once after a quiet time; sessions that
    # may be without a welcome; the share of the rate that is promised to those who were refused;
    # the longest wait that anybody is asked for, which sensors keep to (up to 60 s).
    admissions_per_second: float = 200.0
    admission_burst: float = 200.0
    admissions_under_way: int = 256
    admission_share: float = 0.8
    retry_after_seconds: float = 60.0
    # Hosts that decide and fetch at once after a push, and how long one of them may take.
    turns: int = 256
    turn_seconds: float = 2.0
    # Metadata and Channel File that come along with an offer, in bytes; sensors take twice that.
    enclosed_bytes: int = 64 * 1024

    # Sessions.
    sessions: int = 20_000
    objects_between_collections: int = 100_000
    other_descriptors: int = 256
    fetches_per_agent: int = 2
    outgoing_messages: int = 256
    hello_seconds: float = 5.0
    write_seconds: float = 30.0
    keepalive_ms: int = 10_000
    keepalive_timeout_ms: int = 5_000
    least_ping_interval_ms: int = 500
    stop_seconds: float = 0.9
    # How long sessions have to end by themselves before that, and how often that is looked at.
    farewell_seconds: float = 1.0
    farewell_look_seconds: float = 0.01

    # What an agent says about itself and its content.
    supplied_types: int = 256
    active_files: int = 256
    short_text: int = 256
    # Characters of what a host's kernel, verifier or compiler said when it refused a rung.
    refusal_characters: int = 4_096
    report_id: int = 128
    problems: int = 100
    problem_text: int = 1000

    # Validation of one release against one supply.
    validation_seconds: float = 60.0
    held_verdicts: int = 4096

    # Enrolment. A certificate may still be renewed in an open session for a while after its end;
    # the store knows it for so long. A failed try to join counts for its address for a while.
    certificate_hours: float = 24.0
    longest_certificate_hours: float = 24.0 * 366
    renewal_grace_hours: float = 24.0
    renewal_pause_seconds: float = 1.0
    renewal_seconds: float = 10.0
    token_hours: float = 24.0
    longest_token_hours: float = 24.0 * 366
    token_uses: int = 100_000
    enrolment_receive_bytes: int = 16 * 1024
    signing_request_bytes: int = 4 * 1024
    enrolments_at_once: int = 32
    enrolment_connection_ms: int = 30_000
    join_failures_by_address: int = 10
    join_failures_held: int = 10_000
    join_failure_window_seconds: float = 60.0

    # Store. The serving process waits less for the lock, so that it can end in time.
    busy_ms: int = 5_000
    serving_busy_ms: int = 1_000
    group_commit: int = 256
    watch_seconds: float = 0.05
    # Several replicas: how long one is believed to live that says nothing, how often it does, how
    # often each asks the database for commits of others, and how long a writer waits for them: a
    # replica that is cut off holds them up for as long as the server takes to notice.
    replica_lease_seconds: float = 10.0
    replica_beat_seconds: float = 2.0
    shared_watch_seconds: float = 0.2
    shared_busy_ms: int = 8_000
    # NATS: how often the store is asked while hints can come; how long a connection and an answer
    # may take; how long is waited after a failure, and nothing is queued; how often it is asked
    # whether it lives.
    announced_watch_seconds: float = 1.0
    nats_connect_seconds: int = 2
    nats_answer_seconds: float = 2.0
    nats_pause_seconds: int = 1
    nats_rest_seconds: float = 5.0
    nats_ping_seconds: int = 5
    # Reports in the stream: the largest message (NATS takes 1 MiB with its headers), all of them;
    # how long one is known again; how many are fetched at once, and for how long that may take;
    # how many may be fetched and not stored, and after how long another replica gets them.
    nats_report_bytes: int = 900 * 1024
    nats_stream_bytes: int = 256 * 1024 * 1024
    nats_duplicate_seconds: float = 120.0
    nats_batch: int = 64
    nats_fetch_seconds: float = 0.5
    nats_unstored: int = 1024
    nats_storing_seconds: float = 10.0
    # Rollouts: how often those in a stage are looked at, and those that have none left; how many
    # times as long as a look took is waited at least; how often the store is told how far a stage
    # has come; how often delays of policies are looked at.
    rollout_look_seconds: float = 0.2
    rollout_watch_seconds: float = 5.0
    rollout_look_rest: float = 1.0
    rollout_note_seconds: float = 5.0
    delay_look_seconds: float = 30.0
    progress_seconds: float = 0.05
    held_payloads: int = 8

    # Operator's files, in bytes.
    key_file_bytes: int = 16 * 1024
    unsafe_file_bytes: int = 64 * 1024 * 1024
    reason_characters: int = 1000
    # How long a rollback order is valid; sensors take none that is valid for more than 92 days.
    order_days: int = 30
    # How long a release that was signed at a desk may be pushed, and how far its clock is ahead.
    release_seconds: int = 86_400
    release_ahead_seconds: int = 300
    # How often the serving process looks whether its metadata have to be renewed.
    publish_seconds: float = 60.0
    root_bytes: int = 64 * 1024


LIMITS = CloudLimits()
