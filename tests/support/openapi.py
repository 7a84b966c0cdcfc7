"""A strict check of an object against the schema of a CustomResourceDefinition.

As an API server does with `fieldValidation: Strict`: what the schema does not name is refused. The
checker refuses words of a schema that it does not know, rather than passing over them.
Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions", structural schemas.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

Schema = Mapping[str, Any]

TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
NAME: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL: Final = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
WORDS: Final = frozenset(
    {
        *("type", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
        *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
        *("anyOf", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys"),
        "x-kubernetes-preserve-unknown-fields",
    }
)
"""Words that are checked."""
SILENT: Final = frozenset(
    {
        *("description", "default", "format"),
        *("x-kubernetes-map-type", "x-kubernetes-list-type"),
    }
)
"""Words that refuse nothing that we write."""


class _Loader(yaml.SafeLoader):
    """Reads `=` as the text that it is, as Kubernetes does."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def load(text: str) -> Any:
    """Return one YAML document."""
    return yaml.load(text, _Loader)


def schema_of(path: Path, version: str) -> Schema:
    """Return the schema that a CustomResourceDefinition has for a version of its objects."""
    versions = load(path.read_text("utf-8"))["spec"]["versions"]
    (found,) = (one for one in versions if one["name"] == version and one["served"])
    schema: Schema = found["schema"]["openAPIV3Schema"]
    return schema


def faults(found: Mapping[str, Any], schema: Schema) -> list[str]:
    """Return everything that an API server would refuse in an object, each with its place."""
    return [*_metadata(found.get("metadata")), *_value(found, schema, "")]


def _metadata(found: Any) -> Iterator[str]:
    """Yield faults of what the schema leaves to the API server."""
    if not isinstance(found, dict) or not re.fullmatch(NAME, found.get("name", "")):
        yield ".metadata.name: is no name"
        return
    for key in found.keys() - {"name", "namespace", "labels"}:
        yield f".metadata.{key}: is not known"
    for label, text in found.get("labels", {}).items():
        if not isinstance(text, str) or not re.fullmatch(LABEL, text):
            yield f".metadata.labels.{label}: is no label"


def _value(found: Any, schema: Schema, at: str) -> Iterator[str]:
    unknown = schema.keys() - WORDS - SILENT
    assert not unknown, f"words of a schema that are not checked: {sorted(unknown)}"
    if schema.get("x-kubernetes-int-or-string"):
        if type(found) not in (int, str):
            yield f"{at}: must be int or string"
    elif not _is(found, schema["type"]):
        yield f"{at}: must be {schema['type']}"
        return
    if "enum" in schema and found not in schema["enum"]:
        yield f"{at}: must be one of {schema['enum']}"
    match found:
        case dict():
            yield from _object(found, schema, at)
        case list():
            yield from _array(found, schema, at)
        case str():
            yield from _string(found, schema, at)
        case _:
            if not schema.get("minimum", found) <= found <= schema.get("maximum", found):
                yield f"{at}: is out of bounds"


def _is(found: Any, kind: str) -> bool:
    return isinstance(found, TYPES[kind]) and isinstance(found, bool) == (kind == "boolean")


def _object(found: Mapping[Any, Any], schema: Schema, at: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in found:
            yield f"{at}.{name}: is required"
    for name, value in found.items():
        if not isinstance(name, str):
            yield f"{at}.{name}: must be named by a string"
        elif at == "" and name == "metadata":
            continue
        elif name in known:
            yield from _value(value, known[name], f"{at}.{name}")
        elif isinstance(others, dict):
            yield from _value(value, others, f"{at}.{name}")
        elif not (others or schema.get("x-kubernetes-preserve-unknown-fields")):
            yield f"{at}.{name}: is not known"


def _array(found: Sequence[Any], schema: Schema, at: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(found) <= schema.get("maxItems", len(found)):
        yield f"{at}: has {len(found)} items"
    for number, item in enumerate(found):
        yield from _value(item, schema["items"], f"{at}[{number}]")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen = [tuple(item.get(key) for key in keys) for item in found if keys]
    if len(set(seen)) < len(seen):
        yield f"{at}: has two with the same {', '.join(keys)}"


def _string(found: str, schema: Schema, at: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(found) <= schema.get("maxLength", len(found)):
        yield f"{at}: has {len(found)} characters"
    if "pattern" in schema and not re.search(schema["pattern"], found):
        yield f"{at}: does not match {schema['pattern']}"
