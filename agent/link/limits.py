"""Every limit of the link in one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Counts, bytes, seconds and milliseconds; named with their unit."""

    # The outbox. The reserve is kept for reports about the sensor itself, so that detections
    # that find no room can't push out the news that the sensor crashed or lost events.
    outbox_rows: int = 200_000
    outbox_bytes: int = 64 * 1024 * 1024
    reserve_rows: int = 10_000
    reserve_bytes: int = 2 * 1024 * 1024
    # What an outbox row costs beside its message.
    row_bytes: int = 64
    refusal_report_seconds: float = 10.0
    # One transaction.
    batch_messages: int = 256
    batch_bytes: int = 8 * 1024 * 1024
    store_retry_seconds: float = 1.0
    # Receipts wait for this long, or for the next report, to be worth a transaction.
    receipt_seconds: float = 0.5
    # The local detection log: this file and one predecessor.
    log_bytes: int = 32 * 1024 * 1024
    # The supervisor's channel: news of how we are go at most this often, and a sign of life where
    # there are none.
    news_seconds: float = 0.5
    heartbeat_seconds: float = 5.0
    farewell_seconds: float = 0.3
    # A session: what may be on its way without a receipt, and how long a silence means the end.
    window_deliveries: int = 512
    window_bytes: int = 4 * 1024 * 1024
    read_rows: int = 64
    connect_seconds: float = 20.0
    welcome_seconds: float = 20.0
    silence_seconds: float = 5.0
    response_bytes: int = 4 * 1024 * 1024
    # Reconnecting; a session that lived this long was a good one.
    reconnect_first_seconds: float = 0.2
    reconnect_cap_seconds: float = 30.0
    # What a cloud that is busy can make us wait at most, each time.
    busy_cap_seconds: float = 60.0
    stable_seconds: float = 5.0
    stop_seconds: float = 0.5
    # Certificates. A renewal that failed is tried again after the first of these, up to the cap;
    # whether one is due is looked at this often.
    certificate_bytes: int = 64 * 1024
    renewal_seconds: float = 15.0
    renewal_first_seconds: float = 5.0
    renewal_cap_seconds: float = 600.0
    renewal_look_seconds: float = 60.0
    join_file_bytes: int = 256 * 1024
    join_seconds: float = 20.0
    # Fetching a Channel File.
    pending_offers: int = 64
    # What came along with one of them and is kept while it waits.
    enclosed_bytes: int = 128 * 1024
    fetch_bytes: int = 32 * 1024 * 1024
    fetch_seconds: float = 60.0
    fetch_tries: int = 3
    # What an envelope may have beside its payload: signatures.
    envelope_bytes: int = 64 * 1024
    # TUF metadata: bytes per role, how long one of them may take, and how often they are looked at
    # where nothing is offered.
    root_bytes: int = 64 * 1024
    timestamp_bytes: int = 16 * 1024
    snapshot_bytes: int = 64 * 1024
    targets_bytes: int = 4 * 1024 * 1024
    root_rotations: int = 64
    metadata_seconds: float = 10.0
    refresh_seconds: float = 3600.0
    # Signatures that are passed on; the supervisor knows which keys it trusts.
    signatures: int = 32
    known_outcomes: int = 1024
    # Processes of the sensor itself that are recognised.
    own_processes: int = 4096
    # Texts in acknowledgements, crash and loss reports.
    text_characters: int = 1024
    problems: int = 100
    named_processes: int = 16
    named_attempts: int = 16
    id_characters: int = 128


LIMITS = LinkLimits()
