"""One target under atheris: a process of its own, which libFuzzer ends.

python -m fuzz.engine TARGET [options of libFuzzer] [corpus folders]
"""

import sys

from fuzz.corpora import target


def main(argv: list[str]) -> None:
    """Fuzz until an option says that it is enough, or an input is found that must not be."""
    import atheris

    program, name, *options = argv
    with atheris.instrument_imports(include=["inferometer"]):
        chosen = target(name)
    atheris.Setup([program, *options], chosen.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
