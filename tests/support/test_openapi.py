"""The checker of objects refuses what an API server would, and what it does not know itself."""

from copy import deepcopy
from typing import Any

import pytest

from support.openapi import faults, load, schema_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "kind": {"type": "string", "description": "x"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "properties": {
                "mode": {"type": "string", "enum": ["=", "!="]},
                "wait": {"type": "string", "pattern": "^[0-9]+s$", "maxLength": 4},
                "count": {"type": "integer", "minimum": 1, "maximum": 9},
                "on": {"type": "boolean"},
                "port": {"x-kubernetes-int-or-string": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "groups": {
                    "type": "array",
                    "minItems": 1,
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string", "minLength": 1}},
                    },
                },
            },
        },
    },
}
GOOD: dict[str, Any] = {
    "kind": "X",
    "metadata": {"name": "a.b-c", "namespace": "n", "labels": {"l/x": "A_b"}},
    "spec": {
        "mode": "=",
        "wait": "10s",
        "count": 9,
        "on": False,
        "port": "http",
        "labels": {"any": "text"},
        "free": {"what": ["ever"]},
        "groups": [{"name": "a"}, {"name": "b"}],
    },
}


def test_what_is_right_has_no_faults() -> None:
    assert faults(GOOD, SCHEMA) == []
    assert faults({"metadata": {"name": "a"}, "spec": {"port": 1}}, SCHEMA) == []


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("mode", "=~", ".spec.mode: must be one of ['=', '!=']"),
        ("wait", "1m", ".spec.wait: does not match ^[0-9]+s$"),
        ("wait", "1000s", ".spec.wait: has 5 characters"),
        ("wait", 10, ".spec.wait: must be string"),
        ("count", 0, ".spec.count: is out of bounds"),
        ("count", 10, ".spec.count: is out of bounds"),
        ("count", True, ".spec.count: must be integer"),
        ("on", 1, ".spec.on: must be boolean"),
        ("port", 1.5, ".spec.port: must be int or string"),
        ("labels", {"a": 1}, ".spec.labels.a: must be string"),
        ("labels", {1: "a"}, ".spec.labels.1: must be named by a string"),
        ("groups", [], ".spec.groups: has 0 items"),
        ("groups", [{}], ".spec.groups[0].name: is required"),
        ("groups", [{"name": ""}], ".spec.groups[0].name: has 0 characters"),
        ("groups", [{"name": "a", "x": 1}], ".spec.groups[0].x: is not known"),
        ("groups", [{"name": "a"}] * 2, ".spec.groups: has two with the same name"),
        ("other", None, ".spec.other: is not known"),
    ],
)
def test_each_fault_is_told_with_its_place(field: str, value: object, fault: str) -> None:
    wrong = deepcopy(GOOD)
    wrong["spec"][field] = value
    assert faults(wrong, SCHEMA) == [fault]


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        (None, ".metadata.name: is no name"),
        ({"name": "A_b"}, ".metadata.name: is no name"),
        ({"name": "a", "lables": {}}, ".metadata.lables: is not known"),
        ({"name": "a", "labels": {"l": "a b"}}, ".metadata.labels.l: is no label"),
    ],
)
def test_metadata_is_checked_though_no_schema_tells_it(metadata: object, fault: str) -> None:
    assert faults({**GOOD, "metadata": metadata}, SCHEMA) == [fault]


def test_what_is_missing_at_the_top_is_told() -> None:
    assert faults({"metadata": {"name": "a"}}, SCHEMA) == [".spec: is required"]


def test_a_word_that_is_not_checked_is_no_schema() -> None:
    with pytest.raises(AssertionError, match="oneOf"):
        faults(GOOD, {"type": "object", "oneOf": []})


def test_a_schema_is_that_of_a_version_that_is_served(tmp_path: Any) -> None:
    path = tmp_path / "crd.yaml"
    versions = (
        "  - {name: v1, served: true, schema: {openAPIV3Schema: {type: object}}}\n"
        "  - {name: v2, served: false, schema: {openAPIV3Schema: {type: array}}}\n"
    )
    path.write_text(f"spec:\n  versions:\n{versions}", "utf-8")
    assert schema_of(path, "v1") == {"type": "object"}
    with pytest.raises(ValueError, match="not enough values"):
        schema_of(path, "v2")


def test_an_equals_sign_is_text() -> None:
    assert load("enum: [=, =~]") == {"enum": ["=", "=~"]}
