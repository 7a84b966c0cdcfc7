"""What an origin has seen, one line of JSON for each request, written before it is answered."""

import json
from pathlib import Path


class Record:
    """Appends to a file."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("a", buffering=1, encoding="ascii")  # noqa: SIM115  (open for good)

    def add(self, method: bytes, target: bytes, body: bytes) -> None:
        """Add a request whose body is complete."""
        texts = [part.decode("latin-1") for part in (method, target, body)]
        self._file.write(json.dumps(texts) + "\n")
