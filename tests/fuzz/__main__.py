"""Fuzz the parsers: `python tests/fuzz [--seconds N] [TARGET...]`, `make fuzz` for all of them.

An input that breaks a rule ends it with exit code 1, is printed, and kept in `--work`;
`python tests/fuzz TARGET --input FILE` plays it again, without atheris.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]
LIMITS: Final = ("-rss_limit_mb=1024", "-timeout=10", "-max_len=4096", "-verbosity=0")
"""libFuzzer's: an input that needs more memory or time than this is a finding, too."""
END_WAIT_S: Final = 120.0
"""How long a target may take beyond its time to start and to end."""
SHOWN_BYTES_MAX: Final = 4096


def main() -> int:
    """Return 0 where all targets held, 1 where one broke, 2 where nothing could be run."""
    sys.path.insert(0, str(TESTS))
    from fuzz.corpora import NAMES, target

    options = _parser(NAMES).parse_args()
    if options.input:
        for name in options.targets:
            target(name).check(options.input.read_bytes())
        sys.stdout.write("held\n")
        return 0
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("fuzz: atheris is not installed\nhint: run `make fuzz`\n")
        return 2
    return max(_fuzz(name, options.seconds, options.work) for name in options.targets or NAMES)


def _parser(names: tuple[str, ...]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(names))
    parser.add_argument("--seconds", type=int, default=60, help="for each target, default 60")
    parser.add_argument("--input", type=Path, help="an input to play once, instead of fuzzing")
    parser.add_argument(
        "--work", type=Path, default=Path(".cache/fuzz"), help="corpora that grow, and findings"
    )
    return parser


def _fuzz(name: str, seconds: int, work: Path) -> int:
    from fuzz.corpora import FOLDER, target

    grown, found = work / "corpus" / name, work / "crashes" / name
    grown.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    known = set(found.iterdir())
    words = work / f"{name}.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target(name).WORDS))
    command = [sys.executable, "-m", "fuzz.engine", name, *LIMITS, f"-max_total_time={seconds}"]
    command += [f"-artifact_prefix={found}/", "-print_final_stats=1", f"-dict={words}"]
    done = subprocess.run(
        [*command, str(grown), str(FOLDER / "corpus" / name)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(_paths())},
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=seconds + END_WAIT_S,
        check=False,
    )
    output = done.stdout + done.stderr
    runs = re.findall(r"number_of_executed_units: *([0-9]+)", output)
    if done.returncode == 0 and runs:
        _say(f"fuzz: {name}: {runs[-1]} inputs in {seconds} s, all right")
        return 0
    _say(f"fuzz: {name}: broken (exit code {done.returncode})\n{output[-6000:]}")
    for path in sorted(set(found.iterdir()) - known):
        _say(f"input: {path.read_bytes()[:SHOWN_BYTES_MAX]!r}")
        _say(f"again: {sys.executable} tests/fuzz {name} --input {path}")
    return 1


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _paths() -> list[str]:
    given = os.environ.get("PYTHONPATH", "")
    return [str(TESTS), *filter(None, given.split(os.pathsep))]


if __name__ == "__main__":
    sys.exit(main())
