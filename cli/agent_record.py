"""`bulkhead agent record`: real events of this host in a file, to try content against.

Progress goes to standard error. Ctrl-C and SIGTERM end the recording and keep what there is; the
exit status is then OK, as that is how a recording without `--seconds` is ended.
"""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import ExitCode, errors, fail, print_json, screen, shown
from content.template_type import Rung

if TYPE_CHECKING:
    from content.recorded_events import Recording

DEFAULT_EVENTS = 100_000


def record_command(
    *,
    output: Annotated[Path, typer.Option(dir_okay=False, help="File to write (.npz).")],
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="How long; without it until Ctrl-C.")
    ] = None,
    rung: Annotated[
        Rung | None, typer.Option("--rung", help="Default: bpf_btf as root, else psutil.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Stop after so many events, of all Template Types.")
    ] = DEFAULT_EVENTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Record real events of this host, for `bulkhead content test`.

    Runs a collector of its own; no sensor needs to run, none is disturbed. The file may hold
    secrets, such as passwords in the arguments of programs: only its owner may read it (mode
    0600). Look at what you give away. At most 512 MiB of records are kept.
    """
    # `agent status` shares this group of commands and shall not wait for numpy.
    from agent.recording import RecordingError, Wanted, record  # noqa: PLC0415
    from content.definitions import load_definitions  # noqa: PLC0415
    from content.recorded_events import save  # noqa: PLC0415

    if not os.access(output.absolute().parent, os.W_OK):
        message = f"{output.absolute().parent} is not a folder that can be written to"
        fail("FILE_NOT_ACCESSIBLE", message, ExitCode.PREREQUISITE_MISSING, as_json=as_json)
    stopping = _stop_on_signals()
    wanted = Wanted(
        rung=rung or (Rung.BPF_BTF if os.geteuid() == 0 else Rung.PSUTIL),
        events=limit,
        seconds=seconds,
        stop=lambda: bool(stopping),
        begun=lambda: errors.print("recording"),
    )
    types = load_definitions()
    try:
        recording = record(wanted, types)
        if recording is None:
            fail("INTERRUPTED", "before the probes were attached", ExitCode.INTERRUPTED)
        size = save(recording, types, output)
    except RecordingError as error:
        code = ExitCode.PREREQUISITE_MISSING
        fail("RECORDING_FAILED", str(error), code, as_json=as_json)
    except OSError as error:
        message = f"{error.filename or output}: {error.strerror}"
        fail("FILE_NOT_ACCESSIBLE", message, ExitCode.REFUSED, as_json=as_json)
    names = {number: one.name for number, one in types.items()}
    _show(recording, names, output, size, as_json=as_json)


def _stop_on_signals() -> list[int]:
    """The signals that have come, as they come."""
    came: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: came.append(number))
    return came


def _show(
    recording: "Recording", names: dict[int, str], output: Path, size: int, *, as_json: bool
) -> None:
    counts = {names[number]: len(records) for number, records in recording.events.items()}
    if as_json:
        losses = [
            {"cause": one.cause, "template_type": one.template_type, "count": one.count}
            for one in recording.losses
        ]
        print_json(
            {
                "file": str(output),
                "bytes": size,
                "rung": recording.rung,
                "seconds": recording.seconds,
                "ended": recording.ended,
                "events": counts,
                "losses": losses,
            }
        )
        return
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    screen.print(
        f"{shown(str(output))}  {recording.count} events in {recording.seconds:.1f} s on rung "
        f"{recording.rung} ({listed})  {size} bytes  ended: {recording.ended}",
        soft_wrap=True,
    )
    for loss in recording.losses:
        of_type = names.get(loss.template_type, "all")
        screen.print(f"[yellow]lost[/yellow] {shown(loss.cause)} {of_type}: {loss.count}")
