"""Every limit on content, with its unit: enforced while reading, in the tool, cloud and sensor.

They bound what one Channel File can cost whoever reads it, before anything is built from it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContentLimits:
    """Caps on Channel Files and on the YAML files that authors write; all of them inclusive."""

    # Bytes of a serialised ChannelFile, and of the envelope that carries it.
    payload_bytes: int = 16 * 1024 * 1024
    envelope_bytes: int = 16 * 1024 * 1024 + 4096
    # Bytes of one serialised instance and of one signature.
    instance_bytes: int = 256 * 1024
    signature_bytes: int = 1024
    # Counts within a Channel File.
    signatures: int = 8
    instances: int = 20_000
    clauses_per_instance: int = 64
    criteria_per_clause: int = 32
    values_per_criterion: int = 512
    criteria_total: int = 200_000
    values_total: int = 400_000
    samples_per_instance: int = 64
    inputs_per_sample: int = 63
    attack_techniques_per_instance: int = 32
    false_positives_per_instance: int = 32
    references_per_instance: int = 32
    # Bytes of single values. A record holds at most 4,096 bytes of a text.
    value_bytes: int = 4096
    sample_value_bytes: int = 16 * 1024
    # Characters.
    expression_characters: int = 1024
    id_characters: int = 64
    title_characters: int = 200
    prose_characters: int = 4000
    # Regular expressions: copies of one item, and positions after every copy is written out.
    repeat_count: int = 255
    expression_positions: int = 2000
    expression_depth: int = 16
    # YAML files.
    yaml_bytes: int = 1024 * 1024
    yaml_depth: int = 12
    yaml_nodes: int = 100_000
    # Work of one instance on one batch of records: units of content.matching.work, about a
    # nanosecond each, so much for the batch and for each record; and how much processor time may
    # have gone where so many units were counted.
    work_units_per_batch: int = 20_000_000
    work_units_per_record: int = 40_000
    work_nanoseconds_per_unit: int = 3
    # Estimated prices (content.pricing, the same units) from which on the validator warns: of one
    # instance per event, a 40th of its budget, which at 100,000 events a second is a tenth of a
    # core; of a whole Channel File; and of making them ready, of the 30 s that a sensor has.
    instance_price_units: int = 1_000
    file_price_units: int = 20_000
    instance_compile_units: int = 5_000_000
    file_compile_units: int = 10_000_000_000
    # Problems reported at once.
    problems: int = 100


LIMITS = ContentLimits()
