"""The ablation beside the cells: replayed in a process of its own, unless it is there already."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from lab.ablation import document
from lab.campaign.screen import Screen
from lab.results.errors import ResultsError
from lab.vm.machine import bound_to


def ensure(folder: Path, hosts: int, screen: Screen, *, fresh: bool) -> bool:
    """See that it was replayed with these sources on a fleet of this size; False if it can't be."""
    if not fresh and _is_there(folder / document.FILE, hosts, screen):
        return True
    screen.say(f"ablation: July 2024 under all combinations of safeguards, {hosts:,} hosts")
    command = [sys.executable, "-m", "lab.ablation", "--hosts", str(hosts), "--folder", str(folder)]
    # It ends with this process, however that ends; Ctrl-C reaches us alone, and we end it.
    with subprocess.Popen(
        [*bound_to(os.getpid()), *command], stdout=subprocess.DEVNULL, process_group=0
    ) as replay:
        try:
            status = replay.wait()
        except BaseException:
            os.killpg(replay.pid, signal.SIGKILL)
            raise
    if status != 0:
        screen.say("ablation: NOT CARRIED OUT, the reason stands above")
    return status == 0


def _is_there(file: Path, hosts: int, screen: Screen) -> bool:
    if not file.exists():
        return False
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
        inputs, _ = document.read(text, file.name)
    except ResultsError as error:
        screen.say(f"the ablation is replayed again: {error}")
        return False
    return inputs == document.inputs(hosts)
