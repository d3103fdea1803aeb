"""The digest of an instance: the same in every file, another one as soon as anything differs."""

from dataclasses import replace

import pytest

from content.channel_file import Severity, load, pack
from content.definitions import load_definitions
from content.instance_digest import DIGEST_BYTES, instance_digests
from content.model import ChannelFile, TemplateInstance
from content.template_type import SchemaVersion
from lab.poisoned.content import BULK_POISON, ROW_POISON, channel_file

TYPES = load_definitions()


def example() -> ChannelFile:
    """A Channel File with several instances."""
    return load(channel_file(TYPES, 1, [ROW_POISON, BULK_POISON]))


def digests(file: ChannelFile) -> dict[str, bytes]:
    """By id."""
    found = instance_digests(pack(file), file)
    return dict(zip((one.id for one in file.instances), found, strict=True))


def test_each_instance_has_a_digest_of_its_own() -> None:
    """Two instances would be quarantined for one."""
    found = digests(example())
    assert len(set(found.values())) == len(example().instances)
    assert {len(one) for one in found.values()} == {DIGEST_BYTES}


def test_file_around_it_does_not_matter() -> None:
    """A new version that carries the same poison would run it again."""
    file = example()
    other = replace(file, version=7, instances=tuple(reversed(file.instances[1:])))
    assert digests(other) == {
        name: digest for name, digest in digests(file).items() if name != file.instances[0].id
    }


def _changed(instance: TemplateInstance, what: str) -> TemplateInstance:
    match what:
        case "id":
            return replace(instance, id="another")
        case "severity":
            return replace(instance, severity=Severity.HIGH)
        case "description":
            return replace(instance, description=instance.description + " More.")
        case _:
            return replace(instance, samples=instance.samples[:1])


@pytest.mark.parametrize("what", ["id", "severity", "description", "samples"])
def test_any_change_is_another_instance(what: str) -> None:
    """A corrected instance would stay in quarantine."""
    file = example()
    before = digests(file)[file.instances[0].id]
    changed = _changed(file.instances[0], what)
    after = replace(file, instances=(changed, *file.instances[1:]))
    assert digests(after)[changed.id] != before


@pytest.mark.parametrize("what", ["number", "version"])
def test_template_type_belongs_to_it(what: str) -> None:
    """An instance that was written anew for another schema would be left out unseen."""
    file = example()
    reference = file.template_type
    another = {
        "number": replace(reference, number=3),
        "version": replace(reference, version=SchemaVersion(99, 0)),
    }[what]
    changed = replace(file, template_type=another)
    assert not set(digests(file).values()) & set(digests(changed).values())
