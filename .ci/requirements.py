"""Print what a lock file is made from: the requirements that pyproject.toml states, one a line.

pip-compile reads extras but no dependency groups (PEP 735), hence this step. `make lock` pipes its
output into pip-compile.
"""

import argparse
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

PYPROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"


def requirements(
    document: dict[str, Any], *, group: str, with_project: bool = True
) -> Iterator[str]:
    """Yield the requirements of one dependency group, and of the project with all its extras.

    An extra that refers to the project itself (`inferometer[sidecar]`) adds nothing, since all
    extras are there already.
    """
    project = document["project"]
    if with_project:
        yield from project["dependencies"]
        for extra in project["optional-dependencies"].values():
            yield from (line for line in extra if not line.startswith(project["name"]))
    yield from document["dependency-groups"][group]


def main() -> None:
    """Write the requirements that the command line asks for to stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", help="the dependency group")
    parser.add_argument("--group-only", action="store_true", help="leave the project's own out")
    options = parser.parse_args()
    document = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    wanted = requirements(document, group=options.group, with_project=not options.group_only)
    sys.stdout.writelines(f"{line}\n" for line in wanted)


if __name__ == "__main__":
    main()
