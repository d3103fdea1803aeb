"""What a host of a cell is given, written into a folder: content, order, and a sensor's store."""

import shutil
from dataclasses import replace
from pathlib import Path

from content.channel_file import Envelope, content_hash, pack_envelope
from lab.cells.parts import Arm, Delivery, Fault, Placement
from lab.hosts import order
from lab.hosts.order import CONTENT, PUSHED, SUFFIX, Order
from lab.runners import sensor_store
from lab.runners.files import files_of


def pack(folder: Path, arm: Arm, fault: Fault, factor: float, module: Path | None) -> None:
    """Write all that a host needs into an empty folder; a sensor's store, where it has one."""
    files = files_of(fault)
    wanted = Order(
        placement=arm.placement,
        delivery=fault.delivery,
        pipe=fault.pipe,
        wanted=content_hash(files.bad).hex(),
        factor=factor,
        options=dict(arm.options),
    )
    wanted.write(folder)
    (folder / PUSHED).write_bytes(_stored(files.bad))
    if arm.placement is Placement.SENSOR:
        words = sensor_store.write(folder, files, fault)
        replace(wanted, options={**arm.options, "cloud": words}).write(folder)
        return
    content = folder / CONTENT
    content.mkdir()
    (content / f"process{SUFFIX}").write_bytes(_stored(files.canary))
    present = fault.delivery is Delivery.PRESENT
    ipc = fault.damage(_stored(files.bad)) if present else _stored(files.before)
    (content / f"ipc{SUFFIX}").write_bytes(ipc)
    if module is not None:
        shutil.copy(module, folder / order.MODULE)


def _stored(payload: bytes) -> bytes:
    return pack_envelope(Envelope(payload))
