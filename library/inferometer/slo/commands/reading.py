"""Documents as the commands that need right ones read them."""

import zoneinfo
from collections.abc import Iterable
from pathlib import Path

from inferometer.errors import SpecError
from inferometer.slo.check import findings, is_error
from inferometer.slo.document import Document
from inferometer.slo.spec import examine


def load(paths: Iterable[Path]) -> tuple[Document, ...]:
    """Return the documents. Raises SpecError with every error, but not for warnings."""
    zones = zoneinfo.available_timezones()
    read = examine(paths, zones=zones)
    found = findings(read.documents, zones=zones)
    errors = [problem for problem in (*read.problems, *found) if is_error(problem)]
    if errors:
        raise SpecError(errors)
    return read.documents
