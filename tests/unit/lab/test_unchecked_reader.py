"""The C reader reads what the Python loader reads, and refuses the rest without harm."""

import random
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import content
from content.channel_file import ChannelFile, load, pack
from content.checking import read_all
from content.definitions import load_definitions
from content.model import Operator
from lab import july19
from lab.unchecked.build import SHARED
from lab.unchecked.compiled import Compiled, ReadError, ReadReason
from tests import needs
from tests.unit.content import event_strategies

TYPES = load_definitions()
SHIPPED = Path(content.__file__).parent / "instances"
DRIVER = Path(__file__).with_name("reader_under_sanitizer.c")
IN_C = frozenset(Operator) - {Operator.GLOB, Operator.REGEX, Operator.CIDR}
BUILD_SECONDS = 60
SEED = 19
DAMAGED = 400


@pytest.fixture(autouse=True)
def compiler() -> None:
    """The reader is built when it is first needed."""
    needs.require_command("cc", "gcc")


def _agrees(file: ChannelFile) -> None:
    found = Compiled(pack(file))
    assert (found.template_type, found.arity, found.version) == (
        file.template_type.number,
        file.template_type.arity,
        file.version,
    )
    assert [one.id for one in found.identities] == [one.id.encode() for one in file.instances]
    for instance, identity in zip(file.instances, found.identities, strict=True):
        criteria = [one for clause in instance.clauses for one in clause.criteria]
        known = all(one.operator in IN_C for one in criteria)
        assert identity.supported <= known


def test_reads_the_shipped_channel_files() -> None:
    """The kernel module would evaluate other content than the sensor."""
    files = [one.channel_file for one in read_all([SHIPPED], TYPES, 1).authored]
    assert files
    for file in files:
        _agrees(file)


@given(channel_file=event_strategies.CHANNEL_FILES)
@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
def test_reads_what_the_loader_reads(channel_file: ChannelFile) -> None:
    """A kind of value or a count would be read otherwise in the kernel than in the sensor."""
    _agrees(load(pack(channel_file)))


def test_the_criterion_on_field_21_is_taken_as_it_is() -> None:
    """There would be no arity gap to show."""
    field, text = Compiled(july19.channel_file(TYPES, 1, wildcard=False)).first_text()
    assert (field, text) == (july19.EXTRA_FIELD, july19.PIPE_CONTEXT)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (bytes(64), ReadReason.MALFORMED),
        (b"\x1a\x7fab", ReadReason.TRUNCATED),
        (b"\xff" * 11, ReadReason.MALFORMED),
        (b"\x1b", ReadReason.MALFORMED),
    ],
)
def test_refuses_what_is_no_channel_file(payload: bytes, reason: ReadReason) -> None:
    """A file of zeros would be a fault of its own instead of one that is refused."""
    with pytest.raises(ReadError) as caught:
        Compiled(payload)
    assert caught.value.reason is reason


def test_no_bytes_harm_the_reader(tmp_path: Path) -> None:
    """The reader would have faults of its own, and the laboratory would measure those."""
    program = _built(tmp_path)
    given_bytes = _hostile(july19.channel_file(TYPES, 1, wildcard=False))
    framed = b"".join(struct.pack("<I", len(one)) + one for one in given_bytes)
    ended = subprocess.run([program], input=framed, capture_output=True, check=False, timeout=30)
    assert ended.returncode == 0, ended.stderr.decode()
    assert len(ended.stdout.splitlines()) == len(given_bytes)


def _built(folder: Path) -> Path:
    program = folder / "reader"
    units = [one for one in SHARED if one.suffix == ".c"]
    flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = map(str, (DRIVER, *units))
    command = ["cc", *flags, f"-I{SHARED[0].parent}", "-o", str(program), *sources]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
    )
    if "libasan" in ended.stderr:
        pytest.skip("needs AddressSanitizer (Debian package gcc)")
    assert ended.returncode == 0, ended.stderr
    return program


def _hostile(payload: bytes) -> Sequence[bytes]:
    """Every truncation, and bytes changed, put in and taken out at random, the same each time."""
    chance = random.Random(SEED)  # noqa: S311 — repeatable, no secret
    found = [payload[:length] for length in range(len(payload) + 1)]
    for _ in range(DAMAGED):
        damaged = bytearray(payload)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 3))
        found.append(bytes(damaged))
    return found
