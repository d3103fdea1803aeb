"""What can't be converted is refused as a whole, with a stable reason and its place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content.model import Sample
from content.reasons import Reason
from content.sigma import converter
from content.sigma.refusal import SigmaReason
from tests.unit.sigma.examples import imported, refusal_of, rule, selecting

NETWORK = "network_connection"
INVALID = SigmaReason.RULE_INVALID
VALUE = SigmaReason.VALUE_NOT_SUPPORTED
KIND = SigmaReason.KIND_NOT_SUPPORTED
DOCS = Path(__file__).parents[3] / "docs" / "sigma.md"

IMAGE = selecting("Image: /bin/sh")


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        ("title: [", Reason.NOT_YAML, 2, 1),
        ("- title", INVALID, 1, 1),
        (IMAGE + "---\ntitle: x\n", Reason.NOT_YAML, 11, 1),
        (IMAGE + "level: low\n", Reason.DUPLICATE_KEY, 11, 1),
        (IMAGE.replace("/bin/sh", "&a /bin/sh"), Reason.YAML_NOT_PLAIN, 9, 16),
        (IMAGE.replace("level: medium", "level: dire"), INVALID, 3, 1),
        (IMAGE.replace("level: medium\n", ""), SigmaReason.LEVEL_MISSING, 1, 1),
        (IMAGE.replace("title: Somebody", "title: [Somebody]\n#"), INVALID, 1, 8),
        (IMAGE.replace("title: Somebody looks around\n", ""), INVALID, 0, 0),
        (IMAGE + "tags: [execution]\n", INVALID, 11, 8),
        (IMAGE.replace("id: 3f2c1a00", "id: x"), INVALID, 2, 1),
        (IMAGE + "date: yesterday\n", INVALID, 11, 1),
        (IMAGE + "tags: attack.t1059\n", INVALID, 11, 7),
        (IMAGE + "correlation: {type: event_count}\n", KIND, 11, 14),
        (IMAGE + "taxonomy: ecs\n", KIND, 11, 11),
        (rule("a: {Image: x}\ntimeframe: 5m\ncondition: a\n"), KIND, 9, 5),
    ],
)
def test_what_is_not_one_plain_rule(
    tmp_path: Path, text: str, reason: str, line: int, column: int
) -> None:
    """A damaged file, or another kind of rule, would become something that nobody wrote."""
    refusal = refusal_of(tmp_path, text)
    assert refusal.reason == reason
    assert (refusal.line, refusal.column) == (line, column)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("product: linux", "product: windows"),
        ("product: linux", "service: auditd"),
        ("process_creation", "dns_query"),
        ("    category: process_creation", "    category: process_creation\n    service: sshd"),
    ],
)
def test_other_log_sources(tmp_path: Path, before: str, after: str) -> None:
    """A rule about other events would be looked for in these."""
    refusal = refusal_of(tmp_path, IMAGE.replace(before, after))
    assert refusal.reason == SigmaReason.LOGSOURCE_NOT_SUPPORTED
    assert (refusal.line, refusal.column) == (4, 1)


@pytest.mark.parametrize(
    ("item", "category", "found", "column"),
    [
        ("IntegrityLevel: High", "process_creation", "IntegrityLevel", 9),
        ("CurrentDirectory: /tmp", NETWORK, "CurrentDirectory", 9),
        ("LogonId: 0", NETWORK, "LogonId", 9),
        ("Hashes|contains: ab", "process_creation", "Hashes", 9),
        ("image: /bin/sh", "process_creation", "image", 9),
        ("TargetFilename: /etc/shadow", "process_creation", "TargetFilename", 9),
        ("DestinationHostname: example.org", "process_creation", "DestinationHostname", 9),
        ("DestinationPort: 443\nDestinationHostname: a.org", NETWORK, "DestinationPort", 9),
        ("SourcePort: 4444", NETWORK, "SourcePort, which not every event of this kind has", 9),
    ],
)
def test_fields_that_are_not_supplied(
    tmp_path: Path, item: str, category: str, found: str, column: int
) -> None:
    """A condition would be left out, and the rule match far too much."""
    refusal = refusal_of(tmp_path, selecting(item, category))
    assert (refusal.reason, refusal.found) == (SigmaReason.FIELD_NOT_SUPPLIED, found)
    assert (refusal.line, refusal.column) == (9, column)


def test_a_field_that_no_condition_asks_for_does_not_matter(tmp_path: Path) -> None:
    """A rule would be lost for what it doesn't use."""
    text = rule("a: {Image: /bin/x}\nb: {Hashes: x}\ncondition: a\n")
    assert not imported(tmp_path, text).refused


@pytest.mark.parametrize("detection", ["a: [evil, bad]\n", "a:\n    '|all': [evil, bad]\n"])
def test_keywords(tmp_path: Path, detection: str) -> None:
    """Words would be looked for in a line of log that there is not."""
    refusal = refusal_of(tmp_path, rule(f"{detection}condition: a\n"))
    assert refusal.reason == SigmaReason.KEYWORDS_NOT_SUPPORTED


@pytest.mark.parametrize(
    "value", ["012", "1.10", "yes", "Off", "12:30", "0x41", "2024-07-19", "1_0"]
)
def test_values_that_yaml_reads_in_two_ways(tmp_path: Path, value: str) -> None:
    """A rule would ask for 10 where its author wrote 012."""
    refusal = refusal_of(tmp_path, selecting(f"CommandLine: {value}"))
    assert (refusal.reason, refusal.line, refusal.column) == (
        SigmaReason.VALUE_AMBIGUOUS,
        9,
        22,
    )
    assert not imported(tmp_path, selecting(f"CommandLine: '{value}'")).refused


@pytest.mark.parametrize(
    ("item", "category", "reason"),
    [
        ("User: ada", "process_creation", VALUE),
        ("User: r*", "process_creation", VALUE),
        ("User: 0", "process_creation", VALUE),
        ("Image: true", "process_creation", VALUE),
        ("Image|fieldref: ParentImage", "process_creation", VALUE),
        ("Image|expand: '%shells%'", "process_creation", VALUE),
        ("Image|cidr: 10.0.0.0/8", "process_creation", VALUE),
        ("Image|gt: 3", "process_creation", VALUE),
        ("ProcessId: -1", "process_creation", VALUE),
        ("ProcessId: '08'", "process_creation", VALUE),
        ("ProcessId: abc", "process_creation", VALUE),
        ("ProcessId|startswith: '4'", "process_creation", VALUE),
        ("ProcessId|hour: 4", "process_creation", VALUE),
        ("ProcessId: 18446744073709551616", "process_creation", SigmaReason.VALUE_AMBIGUOUS),
        ("ProcessId: '18446744073709551616'", "process_creation", Reason.VALUE_OUT_OF_RANGE),
        ("DestinationIp: 10.1*", NETWORK, VALUE),
        ("DestinationIp: 300.*", NETWORK, VALUE),
        ("DestinationIp: '*.1'", NETWORK, VALUE),
        ("DestinationIp: fe80::*", NETWORK, VALUE),
        ("DestinationIp: 'fe80::1%eth0'", NETWORK, VALUE),
        ("DestinationIp: localhost", NETWORK, VALUE),
        ("DestinationIp: 7", NETWORK, VALUE),
        ("DestinationIp|re: '^10'", NETWORK, VALUE),
        ("Initiated: perhaps", NETWORK, VALUE),
        ("Image|contains: 'CAF\u00c9'", "process_creation", SigmaReason.CASE_NOT_ASCII),
        ("Image|re|i: 'caf\u00e9'", "process_creation", SigmaReason.CASE_NOT_ASCII),
        ("Image|contains: " + "a" * 300, "process_creation", Reason.VALUE_OUT_OF_RANGE),
        ("Image|contains: []", "process_creation", INVALID),
        ("Image|contains:", "process_creation", INVALID),
        ("Image|re:", "process_creation", INVALID),
        ("Image|resembles: x", "process_creation", INVALID),
        ("Image: {a: b}", "process_creation", INVALID),
        ("Image|base64: 'a*'", "process_creation", INVALID),
    ],
)
def test_values_that_mean_nothing_here(
    tmp_path: Path, item: str, category: str, reason: str
) -> None:
    """A value would be compared with something of another kind, or never match unseen."""
    refusal = refusal_of(tmp_path, selecting(item, category))
    assert refusal.reason == reason
    if reason in (VALUE, SigmaReason.VALUE_AMBIGUOUS, SigmaReason.CASE_NOT_ASCII):
        assert refusal.line == 9


@pytest.mark.parametrize(
    ("expression", "character"),
    [
        (r"a(?=b)", 4),
        (r"(?i)\bsh\b", 5),
        (r"(^|/)sh", 2),
        (r"a.b.*?\Bc", 7),
        (r"[\w.]+$x.", 7),
        (r"(a)\1", 4),
        (r"a++", 3),
        (r"a???", 4),
        (r"(?m)^a", 5),
        (r"x*", 1),
        (r"é[é]", 3),
    ],
)
def test_expressions_outside_the_subset(tmp_path: Path, expression: str, character: int) -> None:
    """An author could not see which part of an expression is in the way."""
    refusal = refusal_of(tmp_path, selecting(f"CommandLine|re: '{expression}'"))
    assert refusal.reason == Reason.EXPRESSION_NOT_ALLOWED
    assert refusal.place == f"CommandLine, character {character}"
    assert (refusal.line, refusal.column) == (9, 25)


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("a and", INVALID),
        ("a and missing", INVALID),
        ("1 of none_*", INVALID),
        ("a | count() > 5", INVALID),
        ("not " * 300 + "a", SigmaReason.TOO_COMPLEX),
        ("a or " * 500 + "a", SigmaReason.TOO_COMPLEX),
        ("a and not a", SigmaReason.NEVER_MATCHES),
        ("a or not a", SigmaReason.NO_SAMPLE_FOUND),
    ],
)
def test_conditions(tmp_path: Path, condition: str, reason: str) -> None:
    """A condition that says nothing, or too much, would become an instance."""
    text = rule(f"a: {{Image: /bin/sh}}\nb: {{Image: /bin/ls}}\ncondition: {condition}\n")
    assert refusal_of(tmp_path, text).reason == reason


@pytest.mark.parametrize("count", [7, 30])
def test_too_many_clauses(tmp_path: Path, count: int) -> None:
    """A rule that multiplies out would take the sensor's time."""
    names = [f"s{number}" for number in range(count)]
    searches = "".join(
        f"{name}:\n    - Image: {name}\n    - ParentImage: {name}\n" for name in names
    )
    refusal = refusal_of(tmp_path, rule(searches + f"condition: {' and '.join(names)}\n"))
    assert refusal.reason == SigmaReason.TOO_COMPLEX


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        (
            "a:\n    CommandLine|contains:\n"
            + "".join(f"        - v{one}\n" for one in range(20_000)),
            Reason.LIMIT_EXCEEDED,
        ),
        (
            "a:\n" + "".join(f"    - {{Image: v{one}, User: root}}\n" for one in range(10_000)),
            SigmaReason.TOO_COMPLEX,
        ),
        (
            "a:\n    CommandLine|contains|all:\n"
            + "".join(f"        - v{one}\n" for one in range(20_000)),
            SigmaReason.TOO_COMPLEX,
        ),
        ("a: {Image: " + "v" * 1_000_000 + "}\n", Reason.LIMIT_EXCEEDED),
        ("a: {Image: " + "v" * 1_100_000 + "}\n", Reason.FILE_TOO_LARGE),
        ("a: " + "[" * 40 + "x" + "]" * 40 + "\n", Reason.LIMIT_EXCEEDED),
        (
            "a: {CommandLine|re: '" + "(a{1,200}){1,200}" + "'}\n",
            Reason.EXPRESSION_NOT_ALLOWED,
        ),
    ],
    ids=["values", "clauses", "criteria", "value", "file", "nesting", "expression"],
)
@pytest.mark.timeout(40)
def test_much_of_everything(tmp_path: Path, detection: str, reason: str) -> None:
    """A rule from elsewhere could keep an author's machine busy for hours."""
    assert refusal_of(tmp_path, rule(f"{detection}condition: a\n")).reason == reason


def test_two_rules_of_one_id(tmp_path: Path) -> None:
    """One instance would overwrite the other."""
    outcome = imported(tmp_path, IMAGE, IMAGE)
    assert len(outcome.converted) == 1
    (refusal,) = outcome.refused
    assert refusal.reason == Reason.DUPLICATE_ID
    assert outcome.by_reason == {"DUPLICATE_ID": 1}


def test_samples_are_tried_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance that doesn't find what it says would be written, were a sample made wrongly."""

    def exchanged(*arguments: Any) -> tuple[Sample, ...]:
        return tuple(
            replace(sample, must_match=not sample.must_match) for sample in made(*arguments)
        )

    made = converter.make_samples
    monkeypatch.setattr(converter, "make_samples", exchanged)
    assert refusal_of(tmp_path, IMAGE).reason == Reason.SAMPLE_FAILED


def test_every_reason_is_explained() -> None:
    """An author would be left alone with a code."""
    text = DOCS.read_text(encoding="utf-8")
    assert [reason for reason in SigmaReason if f"`{reason}`" not in text] == []
