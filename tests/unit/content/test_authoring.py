"""Authors' YAML files: read with line and column, put together, checked."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from content.authoring import assemble, read_instance
from content.channel_file import (
    AddressPrefix,
    Criterion,
    Disposition,
    Envelope,
    Operator,
    Severity,
    Signed,
    TemplateInstance,
    load,
    pack,
    pack_envelope,
)
from content.checking import check
from content.definitions import Rung
from content.problems import ContentError, Problem
from content.reasons import Reason
from tests.unit.content.examples import TYPES, channel_file

GOOD = """\
id: odd-connection
template_type: network
schema: "1.1"
title: An odd connection
description: For tests.
disposition: prevent
severity: critical
attack: [T1071]
false_positives: [None known.]
clauses:
  - - {field: remote_address, operator: cidr, values: [10.0.0.0/8, "2001:db8::/32"]}
    - {field: result, operator: less, values: [-12], negated: true}
    - {field: image, operator: contains, values: [" -e ", {hex: "2fff"}], case_sensitive: true}
  - - {field: operation, operator: equals, values: [accept]}
    - {field: local_port, operator: exists}
samples:
  - name: yes
    matches: true
    inputs: {operation: accept, local_port: 0x50, remote_address: "::1", result: -1}
  - name: other
    matches: false
    inputs: {image: /bin/true}
""".replace("name: yes", 'name: "yes"')


def write(folder: Path, text: str, name: str = "one.yaml") -> Path:
    """A file of this text."""
    path = folder / name
    path.write_text(text)
    return path


def checked(folder: Path, *texts: str, rung: Rung = Rung.BPF_BTF) -> Sequence[Problem]:
    """The problems of files with these texts."""
    for number, text in enumerate(texts):
        write(folder, text, f"{number}.yaml")
    return check([folder], TYPES, rung).problems


def places(problems: Sequence[Problem]) -> list[tuple[Reason, int, int]]:
    """Reason, line and column of each problem."""
    return [(one.reason, one.line, one.column) for one in problems]


def test_everything_is_read(tmp_path: Path) -> None:
    """A part of the author's file would be lost or changed."""
    instance = read_instance(write(tmp_path, GOOD), TYPES).instance
    assert isinstance(instance, TemplateInstance)
    assert (instance.id, instance.title) == ("odd-connection", "An odd connection")
    assert instance.disposition is Disposition.PREVENT
    assert instance.severity is Severity.CRITICAL
    assert instance.attack_techniques == ("T1071",)
    assert instance.false_positives == ("None known.",)
    first, second = instance.clauses
    ten = AddressPrefix(b"\x0a\0\0\0", 8)
    documentation = AddressPrefix(b"\x20\x01\x0d\xb8" + bytes(12), 32)
    assert first.criteria == (
        Criterion(3, Operator.CIDR, (ten, documentation)),
        Criterion(7, Operator.LESS, (Signed(-12),), negated=True),
        Criterion(8, Operator.CONTAINS, (b" -e ", b"/\xff"), case_sensitive=True),
    )
    assert second.criteria == (
        Criterion(1, Operator.EQUALS, (3,)),
        Criterion(6, Operator.EXISTS, ()),
    )
    yes, other = instance.samples
    one = AddressPrefix(bytes(15) + b"\1", 128)
    assert yes.must_match
    assert dict(yes.inputs) == {1: 3, 6: 80, 3: one, 7: Signed(-1)}
    assert not other.must_match
    assert dict(other.inputs) == {8: b"/bin/true"}


def test_good_content_is_accepted_and_packs(tmp_path: Path) -> None:
    """The author's tool would refuse what a sensor takes, or pack something else."""
    assert checked(tmp_path, GOOD) == ()
    (built,) = assemble([read_instance(tmp_path / "0.yaml", TYPES)], 5)
    assert load(pack(built.channel_file)) == built.channel_file
    assert built.channel_file.version == 5
    signed = next(
        one for one in load(pack(built.channel_file)).instances[0].clauses[0].criteria[1].values
    )
    assert isinstance(signed, Signed)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("id: odd-connection", "id: [odd]", (Reason.WRONG_TYPE, 1, 5)),
        ("id: odd-connection", "id: Odd", (Reason.INVALID_ID, 1, 5)),
        ("template_type: network", "template_type: netwerk", (Reason.UNKNOWN_TEMPLATE_TYPE, 2, 16)),
        ('schema: "1.1"', 'schema: "1.2"', (Reason.SCHEMA_VERSION_MISMATCH, 3, 9)),
        ('schema: "1.1"', "schema: 1.0", (Reason.WRONG_TYPE, 3, 9)),
        ("title: An odd connection", "title: ' '", (Reason.BLANK_VALUE, 4, 8)),
        ("title: An odd connection", "titel: An odd connection", (Reason.UNKNOWN_KEY, 4, 1)),
        ("title: An odd connection\n", "", (Reason.MISSING_KEY, 1, 1)),
        ("disposition: prevent", "disposition: block", (Reason.UNKNOWN_ENUM, 6, 14)),
        ("severity: critical", "severity: 5", (Reason.WRONG_TYPE, 7, 11)),
        ("[T1071]", "[T1071, x]", (Reason.INVALID_ATTACK_TECHNIQUE, 8, 17)),
        ("[T1071]", "T1071", (Reason.WRONG_TYPE, 8, 9)),
        ("[None known.]", "[None known., 12]", (Reason.WRONG_TYPE, 9, 32)),
        ("field: remote_address", "field: remote_adress", (Reason.UNKNOWN_FIELD, 11, 15)),
        ("operator: cidr", "operator: in", (Reason.UNKNOWN_ENUM, 11, 41)),
        ("operator: cidr", "operator: glob", (Reason.UNSUPPORTED_OPERATOR, 11, 41)),
        ("10.0.0.0/8", "10.0.0.0/33", (Reason.WRONG_TYPE, 11, 56)),
        ("10.0.0.0/8", "10.0.0.1/8", (Reason.VALUE_OUT_OF_RANGE, 11, 56)),
        ("10.0.0.0/8", "10.0.0", (Reason.WRONG_TYPE, 11, 56)),
        ("10.0.0.0/8", "10.0.0.0/255.0.0.0", (Reason.WRONG_TYPE, 11, 56)),
        ("10.0.0.0/8", "fe80::1%eth0", (Reason.WRONG_TYPE, 11, 56)),
        ("[-12]", "[-012]", (Reason.WRONG_TYPE, 12, 48)),
        ("[-12]", "-12", (Reason.WRONG_TYPE, 12, 47)),
        ("[-12]", "[-1, -2]", (Reason.LIMIT_EXCEEDED, 12, 47)),
        ("[-12]", "[]", (Reason.BLANK_VALUE, 12, 47)),
        ("negated: true", "negated: yes", (Reason.WRONG_TYPE, 12, 63)),
        ('" -e "', "no", (Reason.WRONG_TYPE, 13, 51)),
        ('" -e "', '" "', (Reason.BLANK_VALUE, 13, 51)),
        ('{hex: "2fff"}', '{hex: "2ff"}', (Reason.WRONG_TYPE, 13, 65)),
        ('{hex: "2fff"}', '{hax: "2fff"}', (Reason.UNKNOWN_KEY, 13, 60)),
        ("contains, values: [", "regex, values: ['a+?', ", (Reason.EXPRESSION_NOT_ALLOWED, 13, 48)),
        ("[accept]", "[listen]", (Reason.VALUE_OUT_OF_RANGE, 14, 53)),
        ("[accept]", "[3]", (Reason.WRONG_TYPE, 14, 53)),
        ("operator: exists", "operator: exists, values: [1]", (Reason.WRONG_VALUE_KIND, 15, 53)),
        ("name: other", "name: 12", (Reason.WRONG_TYPE, 20, 11)),
        ("matches: false", "matches: no", (Reason.WRONG_TYPE, 21, 14)),
        ("{image: /bin/true}", "{imag: /bin/true}", (Reason.UNKNOWN_FIELD, 22, 14)),
        ("{image: /bin/true}", "{image: 12}", (Reason.WRONG_TYPE, 22, 21)),
        ("{image: /bin/true}", "/bin/true", (Reason.WRONG_TYPE, 22, 13)),
        ("{image: /bin/true}", "{}", (Reason.BLANK_VALUE, 22, 13)),
        ("matches: false", "matches: true", (Reason.SAMPLE_MISSING, 17, 3)),
        ("operation: accept, local", "operation: bind, local", (Reason.SAMPLE_FAILED, 17, 5)),
    ],
)
def test_mistakes_are_found_where_they_are(
    tmp_path: Path, old: str, new: str, expected: tuple[Reason, int, int]
) -> None:
    """An author would have to search, or content would mean something else than was written."""
    assert old in GOOD
    assert expected in places(checked(tmp_path, GOOD.replace(old, new, 1)))


def test_all_mistakes_of_all_files_at_once(tmp_path: Path) -> None:
    """An author would correct one mistake per run."""
    first = GOOD.replace("prevent", "stop").replace("critical", "bad")
    problems = checked(
        tmp_path, first, GOOD.replace("T1071", "T1"), GOOD.replace("id: odd", "id: O")
    )
    assert [(Path(one.file).name, one.line) for one in problems] == [
        ("0.yaml", 6),
        ("0.yaml", 7),
        ("1.yaml", 8),
        ("2.yaml", 1),
    ]


def test_one_id_in_two_files(tmp_path: Path) -> None:
    """An author would not know which other file has the id."""
    (problem,) = checked(tmp_path, GOOD, GOOD)
    assert (problem.reason, Path(problem.file).name, problem.line) == (
        Reason.DUPLICATE_ID,
        "1.yaml",
        1,
    )
    assert "0.yaml" in problem.found


def test_the_rung_decides(tmp_path: Path) -> None:
    """Content that could never match on a host would be accepted for it."""
    (problem,) = checked(tmp_path, GOOD, rung=Rung.PSUTIL)
    assert (problem.reason, problem.line) == (Reason.FIELD_NOT_SUPPLIED, 12)


def test_instances_are_packed_in_one_order(tmp_path: Path) -> None:
    """The same content would have another hash on another file system."""
    for name in ("z", "a"):
        write(tmp_path, GOOD.replace("odd-connection", f"about-{name}"), f"{name}.yaml")
    files = [read_instance(tmp_path / f"{name}.yaml", TYPES) for name in ("z", "a")]
    one, other = assemble(files, 1), assemble(reversed(files), 1)
    assert pack(one[0].channel_file) == pack(other[0].channel_file)


def test_types_are_kept_apart(tmp_path: Path) -> None:
    """Criteria would be evaluated on events of another type."""
    process = """\
id: any-shell
template_type: process
schema: "4.0"
title: A shell
description: For tests.
disposition: observe
severity: low
clauses: [[{field: image, operator: ends_with, values: [/sh]}]]
samples:
  - {name: one, matches: true, inputs: {image: /bin/sh}}
  - {name: two, matches: false, inputs: {image: /bin/ls}}
"""
    write(tmp_path, GOOD)
    write(tmp_path, process, "two.yml")
    result = check([tmp_path], TYPES, Rung.BPF_BTF)
    assert not result.problems
    assert result.instances == 2
    assert [one.channel_file.template_type.number for one in result.authored] == [1, 3]


def test_packed_files_are_checked_as_well(tmp_path: Path) -> None:
    """An author could not check what is about to be pushed."""
    path = tmp_path / "x.channel"
    path.write_bytes(pack_envelope(Envelope(pack(channel_file()))))
    assert check([tmp_path], TYPES, Rung.BPF_BTF).problems == ()
    path.write_bytes(pack_envelope(Envelope(pack(channel_file(version=0)))))
    (problem,) = check([path, path], TYPES, Rung.BPF_BTF).problems
    assert (problem.reason, problem.file) == (Reason.VERSION_NOT_NEWER, str(path))
    path.write_bytes(b"\xff")
    (problem,) = check([path], TYPES, Rung.BPF_BTF).problems
    assert (problem.reason, problem.file) == (Reason.NOT_A_CHANNEL_FILE, str(path))


def test_what_could_not_be_loaded_is_not_accepted(tmp_path: Path) -> None:
    """An author would pack a file that every sensor refuses."""
    large = "".join(
        f"  - {{name: more {number}, matches: false, inputs: {{image: {'x' * 16000}}}}}\n"
        for number in range(17)
    )
    (problem,) = checked(tmp_path, GOOD + large)
    assert (problem.reason, problem.line) == (Reason.LIMIT_EXCEEDED, 1)
    assert problem.expected == "at most 262144 bytes"


def test_a_folder_without_content_is_refused(tmp_path: Path) -> None:
    """A mistyped path would be accepted as good content."""
    with pytest.raises(ContentError, match="EMPTY_FILE"):
        check([tmp_path], TYPES, Rung.BPF_BTF)
