"""The fields of /proc/PID/stat."""

from pathlib import Path

STATE_FIELD = 3
PARENT_FIELD = 4
START_TIME_FIELD = 22


def stat_fields(pid: int) -> list[str] | None:
    """Field n of proc(5) at n - 1, the second (a name of any bytes) left blank; None if gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return ["", "", *line[line.rindex(b")") + 2 :].decode("ascii").split()]
