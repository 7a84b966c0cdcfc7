"""What CI refuses: system calls per event always, CPU only when two measurements agree."""

import sys

from benchmarks.calls import count
from benchmarks.errors import MissingError
from benchmarks.native import upstream
from benchmarks.numbers import Spread, show
from benchmarks.processes import Cores, take_precedence
from benchmarks.proxies import lineup
from benchmarks.rounds import Bench, interleave, site
from benchmarks.streams import TOKENS

CALLS_MAX = 3.2
CPU_RATIO_MAX = 2.0
ROUNDS = 5
LOADS = ((64, 10_000), (256, 20_000))


def main() -> int:
    """Measure for about three minutes; return 0 if the gates hold, 1 if not, 2 if unknown."""
    bench = Bench(Cores.available(ahead=take_precedence()))
    try:
        results = [_calls(bench), *(_cpu(bench, *load) for load in LOADS)]
    except MissingError as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2
    return 0 if all(results) else 1


def _calls(bench: Bench) -> bool:
    serve = 20_000
    with (
        site(bench) as place,
        upstream(place.cores, place.upstream, interval_us=serve),
        lineup(place, ["ours"]) as (proxies, missing),
    ):
        if missing:
            raise MissingError(missing[0])
        calls = count(place, proxies[1], duration_ms=2500)
    held = calls.total <= CALLS_MAX
    print(f"system calls per event: {calls.total:.2f}, at most {CALLS_MAX}: {_word(held)}")
    return held


def _cpu(bench: Bench, streams: int, interval_us: int) -> bool:
    for attempt in ("", " (again)"):
        found = _ratio(bench, streams, interval_us)
        held = found.median <= CPU_RATIO_MAX
        name = f"CPU per event / nginx, {streams} x {interval_us // 1000} ms{attempt}"
        print(f"{name}: {show(found)}, at most {CPU_RATIO_MAX}: {_word(held)}")
        if held:
            return True
    return False


def _ratio(bench: Bench, streams: int, interval_us: int) -> Spread:
    ask = {
        "concurrency": streams,
        "tokens": TOKENS,
        "ramp_ms": 1000,
        "warmup_ms": 1000,
        "duration_ms": 4000,
    }
    with site(bench) as place:
        rounds = interleave(
            place,
            ["nginx", "ours"],
            rounds=ROUNDS,
            serve={"interval_us": interval_us},
            ask=ask,
        )
    found = rounds.ratio("ours", "events")
    if found is None:
        raise MissingError(rounds.notes[0])
    return found


def _word(held: bool) -> str:  # noqa: FBT001  (one private caller's word)
    return "held" if held else "BROKEN"
