from itertools import islice

from inferometer.demo import trace
from inferometer.demo.trace import Arrival


def test_the_extract_holds_400_requests_in_the_order_of_time() -> None:
    arrivals = trace.load()
    assert len(arrivals) == 400
    assert arrivals[0] == Arrival(0.0, 1069, 499)
    assert list(arrivals) == sorted(arrivals, key=lambda arrival: arrival.at_s)
    assert min(arrival.output_tokens for arrival in arrivals) > 0


def test_moments_are_read_to_the_microsecond() -> None:
    text = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2023-11-16 18:15:46.6805900,374,44\r\n"
        "2023-11-16 18:15:50.9951690,396,109"
    )
    assert trace.parse(text) == (Arrival(0.0, 374, 44), Arrival(4.314579, 396, 109))


def test_the_replay_repeats_the_trace_faster_and_never_goes_back() -> None:
    arrivals = (Arrival(0.0, 1, 2), Arrival(9.5, 3, 4))
    got = list(islice(trace.replay(arrivals, speed=2.0), 5))
    assert [one.at_s for one in got] == [0.0, 4.75, 5.0, 9.75, 10.0]
    assert [one.prompt_tokens for one in got] == [1, 3, 1, 3, 1]
