"""Template Type module: BPF programs that are really loaded, and modules that can't be."""

import errno
import os
from pathlib import Path

from tests.kernel.bpf_objects import BPF_SYSTEM_CALL
from tests.kernel.collection import Collection, Event, is_truncated
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.workload import run_python
from tests.needs import skip_unavoidable

pytestmark = ONLY_WITH_BTF

SOCKET_FILTER, CGROUP_DEVICE = 1, 15
NON_BLOCKING = 0o4000

LOAD = f"""
import resource, struct
try:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, [resource.RLIM_INFINITY] * 2)
except ValueError:
    pass  # needed before kernel 5.11 only
code = ctypes.create_string_buffer(bytes.fromhex('b700000000000000' '9500000000000000'))
license = ctypes.create_string_buffer(b'GPL')
def load(kind, name=b'', count=2, size=64):
    attributes = struct.pack('IIQQIIQII16s', kind, count, ctypes.addressof(code),
                             ctypes.addressof(license), 0, 0, 0, 0, 0, name)
    return call({BPF_SYSTEM_CALL}, 5, attributes, size)
"""


def do(collection: Collection, program: str, folder: Path | str = "") -> list[Event]:
    """Events of a program."""
    return collection.take("module", [run_python(program, folder)])


def operations(collection: Collection, events: list[Event]) -> list[str]:
    """Their operations by name."""
    values = collection.rings["module"].template_type.fields[0].values
    names = {number: name for name, number in values.items()}
    return [names[int(event["operation"])] for event in events]


def require_modules(collection: Collection) -> None:
    """Skip on a kernel that is built without modules, and so has no such calls."""
    if "missing/init_module" in collection.message["probes"]:
        skip_unavoidable("this kernel can't load modules")


def test_program_loads_are_counted_exactly(collection: Collection) -> None:
    """If it failed, BPF programs would be loaded unseen."""
    events = do(
        collection,
        LOAD + f"assert load({CGROUP_DEVICE}, b'guard_devices_1') > 2\n"
        f"for _ in range(5):\n    assert load({SOCKET_FILTER}, b'tap') > 2\n",
    )
    assert operations(collection, events) == ["bpf_program_load"] * 6
    first = events[0]
    assert first["program_name"] == b"guard_devices_1"
    assert (first["program_type"], first["instruction_count"]) == (CGROUP_DEVICE, 2)
    assert int(first["result"]) > 2
    assert first["flags"] == 0
    assert {int(event["program_type"]) for event in events[1:]} == {SOCKET_FILTER}
    assert not first.keys() & {"module_name", "file_name", "parameters", "image_bytes"}


def test_refused_programs_are_events(collection: Collection) -> None:
    """If it failed, an attempt that the verifier refuses would be invisible."""
    bad, short = do(
        collection,
        LOAD
        + f"load({SOCKET_FILTER}, b'bad', count=1)\nload({SOCKET_FILTER}, b'short', size=48)\n",
    )
    assert bad["result"] == -errno.EINVAL
    assert (bad["program_name"], bad["instruction_count"]) == (b"bad", 1)
    assert (short["program_name"], short["program_type"]) == (b"", SOCKET_FILTER)


def test_other_commands_of_bpf_are_none(collection: Collection) -> None:
    """If it failed, every use of a map would be taken for code that enters the kernel."""
    program = f"call({BPF_SYSTEM_CALL}, 0, struct.pack('IIII', 2, 4, 4, 1) + bytes(56), 64)\n"
    assert do(collection, LOAD + program) == []


def test_unreadable_attributes_leave_an_event(collection: Collection) -> None:
    """If it failed, a load whose attributes are gone would be gone as well."""
    (event,) = do(collection, f"call({BPF_SYSTEM_CALL}, 5, ctypes.c_void_p(8), 64)\n")
    assert event["result"] == -errno.EFAULT
    assert "program_type" not in event


def test_modules(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a kernel module would come or go unseen, or nobody know which."""
    require_modules(collection)
    init, finit, delete = {"x86_64": (175, 313, 176), "aarch64": (105, 273, 106)}[
        os.uname().machine
    ]
    (tmp_path / "some-driver.ko").write_bytes(b"no module")
    loaded, by_file, no_file, removed = do(
        collection,
        f"call({init}, b'no module', 9, b'debug=1')\n"
        "file = os.open(path('some-driver.ko'), os.O_RDONLY)\n"
        f"call({finit}, file, b'a=1 b=2', 2)\n"
        f"call({finit}, 999, b'', 0)\n"
        f"call({delete}, b'bulkhead_none', {NON_BLOCKING})\n",
        tmp_path,
    )
    assert operations(collection, [loaded, by_file, no_file, removed]) == [
        "init_module",
        "finit_module",
        "finit_module",
        "delete_module",
    ]
    assert (loaded["image_bytes"], loaded["parameters"]) == (9, b"debug=1")
    assert by_file["file_name"] == b"some-driver.ko"
    assert (by_file["parameters"], by_file["flags"]) == (b"a=1 b=2", 2)
    assert no_file["result"] == -errno.EBADF
    assert "file_name" not in no_file
    assert (removed["module_name"], removed["flags"]) == (b"bulkhead_none", NON_BLOCKING)
    assert removed["result"] == -errno.ENOENT
    for event in (loaded, by_file):
        assert int(event["result"]) < 0


def test_long_parameters(collection: Collection) -> None:
    """If it failed, long parameters would be cut without a word."""
    require_modules(collection)
    finit = {"x86_64": 313, "aarch64": 273}[os.uname().machine]
    (event,) = do(collection, f"call({finit}, 999, b'x' * 300, 0)\n")
    definition = collection.rings["module"].template_type
    assert event["parameters"] == b"x" * 256
    assert is_truncated(definition, event, "parameters")


def test_every_field_is_supplied(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    require_modules(collection)
    init, finit, delete = {"x86_64": (175, 313, 176), "aarch64": (105, 273, 106)}[
        os.uname().machine
    ]
    (tmp_path / "x").touch()
    events = do(
        collection,
        LOAD + f"load({SOCKET_FILTER})\ncall({init}, b'', 0, b'')\n"
        f"call({finit}, os.open(path('x'), os.O_RDONLY), b'', 0)\ncall({delete}, b'none', 0)\n",
        tmp_path,
    )
    definition = collection.rings["module"].template_type
    assert {field.name for field in definition.fields} <= set().union(*events)
