"""`python -m benchmarks`: run scenarios and write RESULTS.md, or keep the gates with --gate."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks import (
    aborts,
    accuracy,
    calls,
    exposition,
    gate,
    gpu,
    machine,
    plain,
    report,
    scrape,
    slo_render,
    start,
    streams,
    thousand,
)
from benchmarks.errors import BrokenError, MissingError
from benchmarks.processes import Cores, take_precedence
from benchmarks.proxies import RECIPES
from benchmarks.report import Section
from benchmarks.rounds import Bench

SCENARIOS: Mapping[str, Callable[[Bench], list[Section]]] = {
    "calls": calls.measure,
    "streams": streams.measure,
    "thousand": thousand.measure,
    "plain": plain.measure_plain,
    "bodies": plain.measure_bodies,
    "aborts": aborts.measure,
    "scrape": scrape.measure,
    "accuracy": accuracy.measure,
    "exposition": exposition.measure,
    "start": start.measure,
    "slo": slo_render.measure,
    "gpu": gpu.measure,
}
PEERS = tuple(name for name in RECIPES if name not in {"nginx", "ours"})


def main(argv: Sequence[str]) -> int:
    """Run what was asked for; return 1 if a gate or a scenario broke, 2 if a tool is missing."""
    asked = _parse(argv)
    if asked.gate:
        return gate.main()
    cores = Cores.available(ahead=asked.ahead and take_precedence())
    bench = Bench(cores, rounds=asked.rounds, peers=tuple(asked.peers), quick=asked.quick)
    os.sched_setaffinity(0, {cores.rest})
    command = shlex.join(["python", "-m", "benchmarks", *argv])
    code = 0
    for name in asked.scenario:
        print(f"{name} ...", file=sys.stderr, flush=True)
        os.sched_setaffinity(0, {cores.proxy, cores.rest} if name == "exposition" else {cores.rest})
        try:
            sections = SCENARIOS[name](bench)
        except (MissingError, BrokenError) as problem:
            print(f"benchmarks: {name}: {problem}", file=sys.stderr)
            code = 1
            continue
        texts = [section.text(command, machine.describe(cores)) for section in sections]
        print("\n".join(texts), flush=True)
        report.save(texts)
    return code


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--scenario",
        type=_names(SCENARIOS),
        default=list(SCENARIOS),
        help=f"comma separated, of {', '.join(SCENARIOS)}; default all",
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds, default 5")
    parser.add_argument(
        "--peers",
        type=_names(PEERS),
        default=list(PEERS),
        help=f"beside nginx, comma separated, of {', '.join(PEERS)}; default all that "
        "`python -m benchmarks.install` has fetched; '' for none",
    )
    parser.add_argument(
        "--quick", action="store_true", help="half as long: to see whether it works"
    )
    parser.add_argument(
        "--ahead",
        action="store_true",
        help="go before other work of a shared machine (root)",
    )
    parser.add_argument("--gate", action="store_true", help="only what CI refuses, under 3 minutes")
    return parser.parse_args(argv)


def _names(known: Mapping[str, object] | Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                message = f"{name!r} is none of {', '.join(known)}"
                raise argparse.ArgumentTypeError(message)
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
