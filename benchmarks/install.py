"""Install the peers from the package index into an environment of their own, never into ours."""

import subprocess
import sys
import venv

from benchmarks.proxies import PEERS, PEERS_ENV


def main() -> int:
    """Make the environment where it is missing and install what it lacks; a few hundred MB."""
    if not (PEERS_ENV / "bin" / "python").exists():
        venv.create(PEERS_ENV, with_pip=True)
    pip = [str(PEERS_ENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    return subprocess.run([*pip, "-r", str(PEERS / "requirements.txt")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
