"""Every limit of the console, with its unit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConsoleLimits:
    """Caps and deadlines; a test may pass its own."""

    # Connections. A request has to be complete, and an answer to be taken, within so many seconds.
    connections: int = 256
    connections_by_address: int = 64
    request_seconds: float = 10.0
    upload_seconds: float = 60.0
    write_seconds: float = 10.0
    idle_seconds: int = 15
    stop_seconds: int = 1

    # Requests, in bytes.
    header_bytes: int = 16 * 1024
    form_bytes: int = 16 * 1024
    upload_bytes: int = 24 * 1024 * 1024
    form_fields: int = 16
    # What takes much processor time, or memory.
    logins_at_once: int = 2
    uploads_at_once: int = 2

    # Sessions.
    sessions: int = 64
    session_idle_seconds: float = 30 * 60.0
    session_seconds: float = 12 * 3600.0

    # Failed logins, by operator's name and by address, within the window.
    failures_by_name: int = 10
    failures_by_address: int = 20
    failure_window_seconds: float = 300.0
    failures_held: int = 4096

    # Streams of detections.
    streams: int = 16
    streams_per_session: int = 4
    stream_batch: int = 50
    stream_look_seconds: float = 0.25
    stream_sign_of_life_seconds: float = 10.0

    # What a page shows; the command line has all of it.
    hosts_shown: int = 200
    detections_shown: int = 50
    crashes_shown: int = 200
    entries_shown: int = 100
    rollouts_shown: int = 100
    store_busy_ms: int = 1_000

    # Operators.
    operators: int = 256
    operators_file_bytes: int = 256 * 1024
    shortest_password: int = 12
    longest_password: int = 1024


LIMITS = ConsoleLimits()
