"""Content that people really use stays far below the work budget on ordinary events."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from content.authoring import assemble, read_instance_text
from content.interpreter import Interpreter
from content.matching import work
from content.matching.matcher import MatcherFactory
from content.model import ChannelFile
from content.pricing import BATCH_RECORDS
from content.record import Records
from content.sigma.importing import import_rules
from content.template_type import Rung
from tests.needs import require_corpus
from tests.unit.content.interpreter_helpers import MATCHERS
from tests.unit.content.test_instances import BY_NAME, COMMANDS, TYPES, event, shipped

PART = 10
"""A tenth of the budget has to do."""

counted_units = work.units_of_batch


def ordinary() -> Records:
    """A full batch of ordinary commands, some of them through a shell."""
    events: list[Mapping[str, str]] = []
    for line in COMMANDS:
        image = f"/usr/bin/{line.split(' ')[0]}"
        events.append({"image": image, "command_line": line, "parent_image": "/usr/bin/bash"})
        events.append({"image": "/bin/sh", "command_line": f"sh -c {line}"})
    records = np.concatenate([event(BY_NAME["process"], one) for one in events])
    return records[np.arange(BATCH_RECORDS) % len(records)]


def sigma() -> Sequence[ChannelFile]:
    """The public rules that can be converted, for processes."""
    converted = import_rules([require_corpus("sigma-linux")], TYPES, Rung.BPF_BTF).converted
    texts = [
        read_instance_text(one.text.encode(), str(one.source), TYPES)
        for one in converted
        if one.template_type.name == "process"
    ]
    return [one.channel_file for one in assemble(texts, version=1)]


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("rules", ["shipped", "sigma"])
def test_ordinary_events_never_exceed_a_tenth_of_the_budget(
    rules: str, matcher: MatcherFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instances that people rely on would be skipped on a busy host."""
    monkeypatch.setattr(work, "units_of_batch", lambda records: counted_units(records) // PART)
    files = [shipped()["process"]] if rules == "shipped" else sigma()
    engine = Interpreter(files, TYPES, matcher=matcher)
    evaluation = engine.evaluate(BY_NAME["process"], ordinary())
    assert evaluation.faults == []
    assert evaluation.undecided == []
