"""Whose work an instance is and where it comes from: from the author's file to the sensor."""

from pathlib import Path
from typing import Any

import pytest

from content.authoring import read_instance, read_instance_text
from content.channel_file import load, pack
from content.display import channel_file_document, text_lines
from content.limits import LIMITS
from content.problems import ContentError
from content.reasons import Reason
from tests.unit.content.examples import PROCESS, TYPES, YAML, problems_of, reasons, with_instance

ORIGIN = """\
author: Ada Lovelace, Émilie du Châtelet
license: DRL-1.1
source: sigma:83dcd9f6-9ca8-4af7-a16e-a1c7a6b51871
references: ["https://example.org/a", "https://example.org/b"]
"""


def test_origin_reaches_the_sensor(tmp_path: Path) -> None:
    """A licence that asks for the author's name would be broken by packing."""
    path = tmp_path / "one.yaml"
    path.write_text(YAML + ORIGIN, encoding="utf-8")
    instance = read_instance(path, TYPES).instance
    assert instance.author == "Ada Lovelace, Émilie du Châtelet"
    assert instance.license == "DRL-1.1"
    assert instance.source == "sigma:83dcd9f6-9ca8-4af7-a16e-a1c7a6b51871"
    assert instance.references == ("https://example.org/a", "https://example.org/b")
    changes = {name: getattr(instance, name) for name in ("author", "license", "source")}
    content = with_instance(**changes, references=instance.references)
    assert problems_of(content) == []
    assert load(pack(content)) == content
    shown = channel_file_document(content, PROCESS)["instances"][0]
    assert (shown["author"], shown["license"]) == (instance.author, instance.license)
    assert shown["source"] == instance.source
    assert shown["references"] == list(instance.references)
    expected = f"  by {instance.author}; {instance.license}; {instance.source}"
    assert expected in text_lines(content, PROCESS)


def test_origin_may_be_left_out() -> None:
    """Content without an author would not load, or show a line about nobody."""
    content = with_instance()
    assert problems_of(content) == []
    assert not any(line.startswith("  by") for line in text_lines(content, PROCESS))


@pytest.mark.parametrize("key", ["author", "license", "source"])
def test_an_empty_origin_is_refused_with_its_place(key: str) -> None:
    """A forgotten name would pass for one that was left out."""
    with pytest.raises(ContentError) as refused:
        read_instance_text(f'{YAML}{key}: ""\n'.encode(), "one.yaml", TYPES)
    (problem,) = refused.value.problems
    assert (problem.reason, problem.place) == (Reason.BLANK_VALUE, key)
    assert (problem.file, problem.line) == ("one.yaml", YAML.count("\n") + 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"author": " "}, Reason.BLANK_VALUE),
        ({"license": "DRL\n1.1"}, Reason.VALUE_OUT_OF_RANGE),
        ({"source": "a" * (LIMITS.prose_characters + 1)}, Reason.LIMIT_EXCEEDED),
        ({"references": ("",)}, Reason.BLANK_VALUE),
        ({"references": ("a\x1b[2J",)}, Reason.VALUE_OUT_OF_RANGE),
        ({"references": ("a",) * (LIMITS.references_per_instance + 1)}, Reason.LIMIT_EXCEEDED),
    ],
)
def test_origin_is_checked(change: dict[str, Any], reason: Reason) -> None:
    """8: an author's name could forge log lines or fill disks."""
    assert reasons(problems_of(with_instance(**change))) == [reason]
