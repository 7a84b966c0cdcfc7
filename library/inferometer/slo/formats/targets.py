"""Which format is written for whom, and what it cannot say: every file, and every note about it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from inferometer.slo.document import Document
from inferometer.slo.formats import losses, pyrra, sloth
from inferometer.slo.names import Options
from inferometer.slo.openslo import writing
from inferometer.slo.render import HEAD, File, Home, document_name
from inferometer.slo.yaml_text import Data
from inferometer.slo.yaml_text import document as written

Format = Literal["sloth", "pyrra", "openslo"]
_BETWEEN: Final = "---\n"


def render(
    documents: Sequence[Document], target: Format, options: Options, *, home: Home
) -> tuple[File, ...]:
    """Return a file for each document of which something can be said, in their order."""
    made = ((one, tuple(_objects(one, target, options, home))) for one in documents)
    return tuple(
        File(document_name(one), HEAD + _BETWEEN.join(written(part) for part in parts))
        for one, parts in made
        if parts
    )


def _objects(
    document: Document, target: Format, options: Options, home: Home
) -> Iterable[dict[str, Data]]:
    if target == "openslo":
        return writing.objects(document, options)
    if target == "pyrra":
        return pyrra.objects(document, options, home)
    found = sloth.specification(document, options)
    return [] if found is None else [found]


def notes(documents: Sequence[Document], target: Format, options: Options) -> Iterator[str]:
    """Yield what the files cannot say, each about one document or one SLO."""
    tell = {"sloth": losses.sloth, "pyrra": losses.pyrra, "openslo": losses.openslo}[target]
    for document in documents:
        for loss in tell(document, options):
            yield f"{document.name}: {loss}"
    if options.clusters:
        yield f"{target}: the clusters are counted together"
