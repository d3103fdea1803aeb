"""Reason codes: stable, the same in author's tool, cloud and sensor.

Most say why content is refused, those `AT_RUN_TIME` why an instance is skipped, and `WARNINGS` what
an author should think over. `EXPLANATIONS` says of each what it means and what to do about it;
docs/reason-codes.md is generated from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Reason(StrEnum):
    """Why content was refused, or is complained of. Codes are never renamed or reused."""

    # Definition
    DEFINITION_INVALID = "DEFINITION_INVALID"
    # Bytes
    EMPTY_FILE = "EMPTY_FILE"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    NOT_A_CHANNEL_FILE = "NOT_A_CHANNEL_FILE"
    UNKNOWN_PROTOBUF_FIELD = "UNKNOWN_PROTOBUF_FIELD"
    NOT_CANONICAL = "NOT_CANONICAL"
    NOT_A_RECORDING = "NOT_A_RECORDING"
    # Text form
    NOT_YAML = "NOT_YAML"
    YAML_NOT_PLAIN = "YAML_NOT_PLAIN"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    MISSING_KEY = "MISSING_KEY"
    WRONG_TYPE = "WRONG_TYPE"
    # Schema
    UNKNOWN_TEMPLATE_TYPE = "UNKNOWN_TEMPLATE_TYPE"
    TEMPLATE_TYPE_NOT_SUPPLIED = "TEMPLATE_TYPE_NOT_SUPPLIED"
    SCHEMA_VERSION_MISMATCH = "SCHEMA_VERSION_MISMATCH"
    ARITY_MISMATCH = "ARITY_MISMATCH"
    FINGERPRINT_MISMATCH = "FINGERPRINT_MISMATCH"
    FIELD_OUT_OF_RANGE = "FIELD_OUT_OF_RANGE"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    FIELD_NOT_SUPPLIED = "FIELD_NOT_SUPPLIED"
    VERSION_NOT_NEWER = "VERSION_NOT_NEWER"
    # Language
    UNSET_ENUM = "UNSET_ENUM"
    UNKNOWN_ENUM = "UNKNOWN_ENUM"
    BLANK_VALUE = "BLANK_VALUE"
    DUPLICATE_ID = "DUPLICATE_ID"
    INVALID_ID = "INVALID_ID"
    INVALID_ATTACK_TECHNIQUE = "INVALID_ATTACK_TECHNIQUE"
    UNSUPPORTED_OPERATOR = "UNSUPPORTED_OPERATOR"
    WRONG_VALUE_KIND = "WRONG_VALUE_KIND"
    VALUE_OUT_OF_RANGE = "VALUE_OUT_OF_RANGE"
    CASE_NOT_APPLICABLE = "CASE_NOT_APPLICABLE"
    EXPRESSION_NOT_ALLOWED = "EXPRESSION_NOT_ALLOWED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    NO_CRITERIA = "NO_CRITERIA"
    # Samples
    SAMPLE_MISSING = "SAMPLE_MISSING"
    DUPLICATE_INPUT = "DUPLICATE_INPUT"
    SAMPLE_FAILED = "SAMPLE_FAILED"
    INTERFACE_CASE_FAILED = "INTERFACE_CASE_FAILED"
    # Prevention
    PREVENTS_VITAL_PROGRAM = "PREVENTS_VITAL_PROGRAM"
    # At run time: an instance is skipped from then on
    RUN_TIME_CHECK = "RUN_TIME_CHECK"
    WORK_BUDGET_EXCEEDED = "WORK_BUDGET_EXCEEDED"
    INSTANCE_QUARANTINED = "INSTANCE_QUARANTINED"
    # Warnings: nothing is refused for them
    COSTLY_TO_EVALUATE = "COSTLY_TO_EVALUATE"
    COSTLY_TO_COMPILE = "COSTLY_TO_COMPILE"
    MAY_EXCEED_WORK_BUDGET = "MAY_EXCEED_WORK_BUDGET"
    CASE_OF_OTHER_LETTERS = "CASE_OF_OTHER_LETTERS"


AT_RUN_TIME = frozenset(
    {Reason.RUN_TIME_CHECK, Reason.WORK_BUDGET_EXCEEDED, Reason.INSTANCE_QUARANTINED}
)
WARNINGS = frozenset(
    {
        Reason.COSTLY_TO_EVALUATE,
        Reason.COSTLY_TO_COMPILE,
        Reason.MAY_EXCEED_WORK_BUDGET,
        Reason.CASE_OF_OTHER_LETTERS,
    }
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason code means, and what the author of the content can do."""

    meaning: str
    remedy: str


EXPLANATIONS: Mapping[Reason, Explanation] = MappingProxyType(
    {
        Reason.DEFINITION_INVALID: Explanation(
            "A Template Type Definition is not well formed.",
            "Correct the Definition at the place that is named; nothing starts without it.",
        ),
        Reason.EMPTY_FILE: Explanation(
            "There is nothing to read: no bytes, no YAML document, no content in a folder.",
            "Check the path and whether the file was copied completely.",
        ),
        Reason.FILE_TOO_LARGE: Explanation(
            "The file has more bytes than its kind may have; it was not read to its end.",
            "Split the content, or check whether this is the right file.",
        ),
        Reason.NOT_A_CHANNEL_FILE: Explanation(
            "The bytes are not a serialised Channel File: cut off, damaged or something else.",
            "Pack or fetch the file again.",
        ),
        Reason.UNKNOWN_PROTOBUF_FIELD: Explanation(
            "The Channel File carries a field that this release doesn't know; ignoring it could "
            "change what the content means.",
            "Pack the content with the release that is to evaluate it, or update that release.",
        ),
        Reason.NOT_CANONICAL: Explanation(
            "The bytes can be read, but packing what was read gives other bytes.",
            "Pack the content with `bulkhead content pack`.",
        ),
        Reason.NOT_A_RECORDING: Explanation(
            "The file of events is not what `bulkhead agent record` writes: cut off, damaged or "
            "something else.",
            "Record again, or check whether this is the right file.",
        ),
        Reason.NOT_YAML: Explanation(
            "The text is not one well-formed YAML document in UTF-8.",
            "Correct the place that is named: often indentation, a missing quote or a tab.",
        ),
        Reason.YAML_NOT_PLAIN: Explanation(
            "The YAML uses directives, anchors, aliases or tags, which can make it mean or weigh "
            "more than it seems.",
            "Write the values out; put values that begin with & * ! or % in quotes.",
        ),
        Reason.DUPLICATE_KEY: Explanation(
            "A key occurs twice in one mapping; one of its values would be lost.",
            "Remove one; values of one criterion go into one list.",
        ),
        Reason.UNKNOWN_KEY: Explanation(
            "The form has no such key.",
            "Check the spelling against the keys that are listed.",
        ),
        Reason.MISSING_KEY: Explanation(
            "The form needs a key that is not there.",
            "Add it; docs/content-language.md describes the form.",
        ),
        Reason.WRONG_TYPE: Explanation(
            "A value has another form than its place needs, or YAML could read it in two ways "
            "(no, 012, 12:30, 1.10).",
            "Put text in quotes; write numbers in decimal, 0x1f or 0o17; true or false for flags.",
        ),
        Reason.UNKNOWN_TEMPLATE_TYPE: Explanation(
            "There is no Template Type of that name or number, or its Definition is not known "
            "where the content was checked.",
            "Check the name; docs/template-types lists those of this release.",
        ),
        Reason.TEMPLATE_TYPE_NOT_SUPPLIED: Explanation(
            "The Template Type exists, but this sensor, on the rung of the kernel dependency "
            "ladder that it runs on, can't see such events.",
            "Offer the content only to sensors that supply the type.",
        ),
        Reason.SCHEMA_VERSION_MISMATCH: Explanation(
            "The content was written for another version of the Template Type than the sensor "
            "supplies.",
            "Review the content against the supplied version, then set `schema` to it.",
        ),
        Reason.ARITY_MISMATCH: Explanation(
            "The author's Definition has another number of fields than the sensor supplies "
            "inputs. On 19 July 2024 it was 21 against 20.",
            "Write and pack the content with the Definition of the release that is to evaluate it.",
        ),
        Reason.FINGERPRINT_MISMATCH: Explanation(
            "The author's Definition differs from the supplied one in number, name or kind of a "
            "field.",
            "Write and pack the content with the Definition of the release that is to evaluate it.",
        ),
        Reason.FIELD_OUT_OF_RANGE: Explanation(
            "A criterion or sample names a field beyond the inputs that the sensor supplies.",
            "Use the fields that are supplied; docs/template-types lists them.",
        ),
        Reason.UNKNOWN_FIELD: Explanation(
            "The Template Type has no field of that name.",
            "Check the spelling against docs/template-types.",
        ),
        Reason.FIELD_NOT_SUPPLIED: Explanation(
            "The field, or the value of an enumeration, exists, but the rung in use does not "
            "supply it, so that the criterion could not match what it is meant for.",
            "Use another field, name what the rung tells instead beside the value, or offer the "
            "content only to sensors on a rung that supplies it.",
        ),
        Reason.VERSION_NOT_NEWER: Explanation(
            "The Channel File is not newer than the one that is active.",
            "Pack it with a higher version; going back is an order of its own (revocation).",
        ),
        Reason.UNSET_ENUM: Explanation(
            "Disposition, severity, operator or algorithm is not set.",
            "Set it; there is no default.",
        ),
        Reason.UNKNOWN_ENUM: Explanation(
            "Disposition, severity, operator or algorithm has a value that this release doesn't "
            "know.",
            "Use one of the names that are listed.",
        ),
        Reason.BLANK_VALUE: Explanation(
            "A value, or a list of values, is empty, not set or white space only.",
            "Fill it in, or remove the criterion.",
        ),
        Reason.DUPLICATE_ID: Explanation(
            "Two instances of a Channel File have one id, or two samples of an instance one name.",
            "Rename one.",
        ),
        Reason.INVALID_ID: Explanation(
            "An id is not made of a-z, 0-9 and single dashes, or is too long.",
            "Rename it, for example to web-server-starts-shell.",
        ),
        Reason.INVALID_ATTACK_TECHNIQUE: Explanation(
            "An ATT&CK technique does not look like T1059 or T1059.004.",
            "Look the technique's id up at attack.mitre.org.",
        ),
        Reason.UNSUPPORTED_OPERATOR: Explanation(
            "The operator does not fit the kind of the field.",
            "Use one of the operators that are listed.",
        ),
        Reason.WRONG_VALUE_KIND: Explanation(
            "A value is of another kind than the field, or the operator takes no values.",
            "Write the value in the form of the field's kind.",
        ),
        Reason.VALUE_OUT_OF_RANGE: Explanation(
            "A value can't occur: beyond 64 bits, not a defined name of the enum, longer than the "
            "record holds, bits set behind a prefix, control characters in a title.",
            "Use a value in the range that is named.",
        ),
        Reason.CASE_NOT_APPLICABLE: Explanation(
            "case_sensitive is set where case is not looked at.",
            "Remove it; only text has case.",
        ),
        Reason.EXPRESSION_NOT_ALLOWED: Explanation(
            "A regular expression or glob is outside the subset that is matched in linear time.",
            "Rewrite it from the character that is named; docs/content-language.md has the subset.",
        ),
        Reason.LIMIT_EXCEEDED: Explanation(
            "A count, size, depth or cost is over its limit.",
            "Split the content or simplify it.",
        ),
        Reason.NO_CRITERIA: Explanation(
            "A Channel File without instances, an instance without clauses or a clause without "
            "criteria, which would match every event.",
            "Add what is missing, or remove what is empty.",
        ),
        Reason.SAMPLE_MISSING: Explanation(
            "An instance lacks a sample that must match, or one that must not.",
            "Add one of each; a good must-not-match sample is ordinary and close to a match.",
        ),
        Reason.DUPLICATE_INPUT: Explanation(
            "A sample gives one field twice.",
            "Remove one of them.",
        ),
        Reason.SAMPLE_FAILED: Explanation(
            "The Content Interpreter gave another answer than the sample says.",
            "Correct the criteria or the sample.",
        ),
        Reason.INTERFACE_CASE_FAILED: Explanation(
            "The sensor's own interpreter gave a wrong answer on a field of this Template Type.",
            "Report it: no content for this Template Type can be trusted on this sensor.",
        ),
        Reason.PREVENTS_VITAL_PROGRAM: Explanation(
            "The instance would stop a program that hosts need to boot, to let people in and to be "
            "repaired (init, shells, logins, the sensor's interpreter…), however it is started.",
            "Ask for more than the program itself, such as its arguments, or set the disposition "
            "to detect; docs/prevention.md says which programs are protected.",
        ),
        Reason.RUN_TIME_CHECK: Explanation(
            "A check of the Content Interpreter failed while it evaluated this instance.",
            "Report it with the instance: content that was accepted must not do that.",
        ),
        Reason.WORK_BUDGET_EXCEEDED: Explanation(
            "The instance would have taken more than one instance's share of a batch of events. "
            "It is skipped until another evaluator takes over; what it had found counts.",
            "Make it cheaper: a criterion with a rare literal, fewer values, shorter counted "
            "repeats; `bulkhead content check` prices it.",
        ),
        Reason.INSTANCE_QUARANTINED: Explanation(
            "Two evaluators died on the instance: it is in quarantine by its digest, whatever file "
            "it comes in, until it is changed or an operator lifts that.",
            "Correct it and offer a new version of the file: a changed instance has another "
            "digest and is active at once. `bulkhead agent quarantine` lists and lifts.",
        ),
        Reason.COSTLY_TO_EVALUATE: Explanation(
            "The instance is estimated to cost more than its share of processor time on ordinary "
            "events.",
            "Do what the warning says: mostly a criterion with a longer, rarer literal.",
        ),
        Reason.COSTLY_TO_COMPILE: Explanation(
            "The instance is estimated to take more than its share of the time in which a Channel "
            "File is made ready.",
            "Give the expression a literal, or write shorter counted repeats.",
        ),
        Reason.MAY_EXCEED_WORK_BUDGET: Explanation(
            "Whoever causes events can make texts on which the instance exceeds its work budget, "
            "and is skipped.",
            "Shorten counted repeats such as `.{200}`, or use fewer values in one criterion.",
        ),
        Reason.CASE_OF_OTHER_LETTERS: Explanation(
            "A value is compared without regard to case, but has a letter outside ASCII, which "
            "agrees only with itself.",
            "List both spellings as values, or set case_sensitive: true.",
        ),
    }
)
