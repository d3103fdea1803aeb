"""Any text is refused as an instance with its place, or can be written and read again."""

import re
from collections.abc import Iterator

from content.authoring import AuthoredInstance, assemble, read_instance_text
from content.authoring_writer import instance_text
from content.channel_file import load, pack
from content.definitions import load_definitions
from content.problems import ContentError
from content.supply import Supply
from content.template_type import Rung
from content.validator import validate
from tests.fuzz.target import Target
from tests.unit.content.examples import YAML
from tests.unit.content.test_yaml import TRAPS

TYPES = load_definitions()
LINE_ENDS = re.compile("[\n\r\x85\u2028\u2029]")
SUPPLY = Supply.of(TYPES, Rung.BPF_BTF)


def one_input(data: bytes) -> None:
    """Read, check, pack and write again."""
    authored = _read(data)
    if authored is None:
        return
    (one,) = assemble([authored], version=1)
    problems = validate(one.channel_file, SUPPLY, TYPES)
    if problems:
        assert all(one.locate(problem).line for problem in problems)
        return
    assert load(pack(one.channel_file)) == one.channel_file
    written = instance_text(authored.instance, authored.template_type)
    again = read_instance_text(written.encode(), "again.yaml", TYPES)
    assert again.instance == authored.instance


def _read(data: bytes) -> AuthoredInstance | None:
    try:
        return read_instance_text(data, "fuzz.yaml", TYPES)
    except ContentError as error:
        lines = len(LINE_ENDS.findall(data.decode("utf-8", "replace"))) + 2
        if any(not 0 <= one.line <= lines for one in error.problems):
            raise AssertionError(error.problems) from error
        return None


def seeds() -> Iterator[bytes]:
    """A small instance, its parts in other styles, and what YAML readers take for something."""
    yield YAML.encode()
    yield YAML.replace("equals", "regex").replace("[/sh]", "['^/bin/(ba)?sh$']").encode()
    yield YAML.replace("For tests.", "|-\n  Two\n  lines").encode()
    for trap in TRAPS:
        yield f"id: {trap}\n? {trap}\n: [{trap}, '{trap}']\n".encode()
    yield b"a: &a [x]\nb: [*a, *a]\n<<: *a\n"
    yield b"%YAML 1.1\n---\n!!python/object:os.system {a: 1, a: 2}\n...\n"
    yield b'- - - {a: [b, {c: [d]}]}\n- >+\n  text\n\n- "\\x00\\ud800"\n'


TARGET = Target(one_input, seeds, quick_runs=6_000, max_bytes=768)
