"""Quantiles that somebody compares with a number are found; whatever is something else is not."""

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.quantile import CHARS_MAX, FOUND_MAX, Limit, is_latency, limits

TTFT = "vllm:time_to_first_token_seconds"
HQ = f"histogram_quantile(0.95, sum by (le) (rate({TTFT}_bucket[5m])))"
FOUND = (Limit(TTFT, Decimal("0.95"), Decimal("2.5")),)


@pytest.mark.parametrize(
    "expr",
    [
        f"{HQ} > 2.5",
        f"{HQ}>=2.50",
        f"{HQ} > 25e-1",
        f"2.5 < {HQ}",
        f"2.5 <= {HQ}",
        f"2.5 < bool {HQ}",
        f"{HQ} > bool 2.5",
        f"({HQ}) > 2.5",
        f"(({HQ} > 2.5))",
        f"{HQ} * 1000 > 2500",
        f"1000 * {HQ} > 2500",
        f"({HQ} / 60) > 0.04166666666666666666666",
        f"max by (model) ({HQ}) > 2.5",
        f"max({HQ}) without (pod) > 2.5",
        f"avg ({HQ}) > 2.5",
        f"up == 1 and on (pod) {HQ} > 2.5",
        f"up == 1 and ignoring (a, b) ({HQ} > 2.5)",
        f"up unless ({HQ}) > 2.5",
        f"{HQ} > 2.5 and sum(rate(requests_total[5m])) > 1",
        f"{HQ} > 2.5 # is too slow",
        f"# is it slow?\n{HQ}\n  > 2.5\n",
        f"label_replace({HQ} > 2.5, 'a', \"b\", `c`, '', '')",
        f"({HQ} > 2.5) * on (pod) group_left () info",
        f"{HQ} > 2.5 or {HQ} > 2.5",
        f"histogram_quantile(0.95, rate({TTFT}[5m])) > 2.5",
        f'histogram_quantile(0.95, rate({{__name__="{TTFT}_bucket"}}[5m])) > 2.5',
        f'histogram_quantile(0.95, rate({{"{TTFT}_bucket", le!="x"}}[5m])) > 2.5',
    ],
)
def test_a_quantile_against_a_number_is_found(expr: str) -> None:
    assert limits(expr) == FOUND


@pytest.mark.parametrize(
    "expr",
    [
        "",
        HQ,
        f"{HQ} < 2.5",
        f"{HQ} == 2.5",
        f"{HQ} != 2.5",
        f"2.5 > {HQ}",
        f"x < {HQ}",
        f"1 + 2.5 < {HQ}",
        f"{HQ} > limit",
        f"{HQ} > 2.5 * 2",
        f"{HQ} > 2s",
        f"{HQ} > 0x10",
        f"{HQ} > Inf",
        f"{HQ} > 0",
        f"{HQ} > -1",
        f"{HQ} >",
        f"{HQ} > bool",
        f"< {HQ}",
        f"{HQ} > 1e999999",
        f"{HQ} * 1e9 > 1e-9",
        f"{HQ} * x > 2",
        f"x * {HQ} > 2",
        f"2 ^ {HQ} > 2",
        f"{HQ} - 1 > 2",
        f"x / {HQ} > 2",
        f"x / on (pod) {HQ} > 2",
        f"rate(x[5m]) {HQ} > 2",
        f"-{HQ} > 2",
        f"{HQ} ^ 2 > 2",
        f"{HQ} > 2 > 1",
        f"{HQ} offset 5m > 2",
        f"sum({HQ}) > 2",
        f"sum by (a) ({HQ}) > 2",
        f"by (a) ({HQ}) > 2",
        f"max by (a) ({HQ} > 2",
        f"{HQ}) > 2",
        f"max({HQ}] > 2",
        f"abs({HQ}, 2) > 2",
        f"({HQ}, 2) > 2",
        f"{HQ} > 2 $",
        f'"{HQ} > 2.5"',
        f"# {HQ} > 2.5",
        "histogram_quantile > 2",
        f"histogram_quantile{{}} > 2 and {TTFT} > 2",
        "histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])) > 1",
        "histogram_quantile(0.95, rate(vllm:request_prompt_tokens_bucket[5m])) > 1",
        f'histogram_quantile(0.95, rate(x_bucket{{metric="{TTFT}"}}[5m])) > 1',
        f"avg({TTFT}_sum) > 2",
    ],
)
def test_what_is_something_else_is_passed_over(expr: str) -> None:
    assert limits(expr) == ()


def test_each_limit_is_found_with_its_own_quantile() -> None:
    e2e = "gen_ai_server_request_duration_seconds"
    expr = f"{HQ} > 2.5 or histogram_quantile($q, rate({e2e}_bucket[5m])) > 60".replace("$q", "q")
    assert limits(expr) == (*FOUND, Limit(e2e, None, Decimal(60)))


def test_a_sum_of_two_latencies_names_both() -> None:
    other = "sglang:time_to_first_token_seconds"
    expr = f"histogram_quantile(.9, rate({TTFT}_bucket[5m]) or rate({other}_bucket[5m])) > 1"
    assert [one.metric for one in limits(expr)] == [TTFT, other]


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("gen_ai_server_time_to_first_token_seconds", True),
        ("inferometer_inter_token_latency_seconds", True),
        ("inferometer_longest_gap_seconds", True),
        ("sglang:e2e_request_latency_seconds", True),
        ("tgi_request_mean_time_per_token_duration", True),
        ("nv_inference_first_response_histogram_ms", True),
        ("trtllm_time_to_first_token_seconds", True),
        ("inferometer_sidecar_overhead_seconds", False),
        ("vllm:kv_block_lifetime_seconds", False),
        ("inferometer_requests_total", False),
        ("time_to_first_token_seconds", False),
    ],
)
def test_a_latency_is_what_users_wait_for(metric: str, *, told: bool) -> None:
    assert is_latency(metric) is told


@pytest.mark.req("SC-04")
def test_a_long_expression_is_not_looked_at() -> None:
    assert limits(f"{HQ} > 2.5".ljust(CHARS_MAX)) == FOUND
    assert limits(f"{HQ} > 2.5".ljust(CHARS_MAX + 1)) == ()


def test_only_so_many_quantiles_are_looked_at() -> None:
    one = f"histogram_quantile(.9, {TTFT})"
    expr = " or ".join(f"{one} > {n + 1}" for n in range(FOUND_MAX + 1))
    assert [int(found.limit) for found in limits(expr)] == list(range(1, FOUND_MAX + 1))


def test_hostile_nesting_costs_little() -> None:
    for part in ("histogram_quantile(", "(", "2*", "-"):
        expr = (part * CHARS_MAX)[: CHARS_MAX - 9] + "a > 2"
        start_s = time.process_time()
        assert limits(expr) == ()
        assert time.process_time() - start_s < 1


PIECES = (
    *(HQ, "histogram_quantile", TTFT, "(", ")", "[", "]", "{", "}", ",", ">", "<", "<=", "bool"),
    *("2", "1e400", "*", "/", "^", "-", "and", "on", "by", "max", "sum", '"', "'", "#", "\\"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join) | st.text(max_size=60))
def test_no_expression_whatsoever_raises(expr: str) -> None:
    for found in limits(expr):
        assert is_latency(found.metric)
        assert found.limit > 0
