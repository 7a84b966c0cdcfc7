"""Import a vendor's Python binding: late, quietly, and from a folder of its own if need be.

Bindings print when their library is missing, raise whatever comes to hand (amdsmi: KeyError), or
end the interpreter (DCGM's bindings for Python 2). Nothing of that may leave this function.
"""

import contextlib
import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from inferometer.gpu.backend import BackendError

NOT_FOUND: Final = "bindings_not_found"
UNUSABLE: Final = "bindings_unusable"


def load(name: str, *, folder: Path | None = None) -> ModuleType:
    """Import a module by name, from `folder` if it is nowhere else.

    Raises BackendError: reason "bindings_not_found" where there is no such module, and
    "bindings_unusable" where there is one that fails. Call it before threads are started, since
    it replaces sys.stdout for the while.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), _searched(folder):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        reason = NOT_FOUND if error.name == name else UNUSABLE
        raise BackendError(reason, f"cannot import {name}: {error}") from error
    except (Exception, SystemExit) as error:  # a binding raises what it likes; see above
        message = f"cannot import {name}: {type(error).__name__}: {error}"
        raise BackendError(UNUSABLE, message) from error


@contextlib.contextmanager
def _searched(folder: Path | None) -> Iterator[None]:
    """Have a folder looked at last: it may hold modules with names of others, such as `logger`."""
    if folder is None:
        yield
        return
    path = str(folder)
    sys.path.append(path)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(path)
