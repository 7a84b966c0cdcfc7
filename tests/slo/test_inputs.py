from inferometer.slo.inputs import AT_ONCE_MAX, groups, key_of
from inferometer.slo.names import Options
from support.slo_rules import Documents, chat, promised

SLICED = "objective: 99, weight: slice, slice: {length: 10m, good_share: 50}, good: {tpot: 20ms}"
WORDS = "objective: 95, weight: token, good: {tpot: 20ms}, match: {tenant: w}"
FOREIGN = (
    "metadata: {name: ext}\nmetrics:\n  - {name: gw, objective: 99, ratio: {bad: b, total: t}}\n"
)


def test_each_slo_is_in_one_group_with_the_expressions_of_its_rules(documents: Documents) -> None:
    text = chat({"a": promised("99", tenant="a"), "w": WORDS, "s": SLICED})
    found = list(groups(documents(text, FOREIGN), Options()))
    assert [group.keys for group in found] == [
        (("llm", "chat-a"),),
        (("llm", "chat-w"),),
        (("llm", "chat-s"),),
        (("", "ext-gw"),),
    ]
    requests, tokens, slices, foreign = found
    assert "sum by (namespace, slo) (increase(inferometer_slo_requests_total{" in str(
        requests.total
    )
    assert requests.requests == requests.total
    assert str(tokens.total).startswith("sum by (namespace, slo) (increase(inferometer_slo_tokens_")
    assert "requests_total" in str(tokens.requests)
    assert 'vantage="sidecar"' in str(tokens.total)
    assert "> bool 0" in str(slices.total)
    assert "chat-s--requests" in str(slices.requests)
    assert str(foreign.total) == "sum(increase(t[5m]))"
    assert foreign.bad_requests == foreign.bad


def test_another_vantage_and_cluster_are_asked_for(documents: Documents) -> None:
    options = Options(vantage="gateway", clusters=("east",))
    text = chat({"a": promised("99"), "w": WORDS.replace("tenant: w", "tenant: x")})
    for group in groups(documents(text), options):
        for expr in (group.total, group.bad, group.requests):
            assert 'vantage="gateway"' in str(expr)
            assert 'cluster=~"east"' in str(expr)


def test_groups_are_bounded(documents: Documents) -> None:
    many = chat({f"c{n}": promised("99", tenant=f"t{n}") for n in range(AT_ONCE_MAX + 1)})
    assert [len(group.keys) for group in groups(documents(many), Options())] == [AT_ONCE_MAX, 1]


def test_a_series_is_of_the_slo_that_its_labels_name(documents: Documents) -> None:
    counters, foreign = groups(documents(chat({"a": promised("99")}), FOREIGN), Options())
    assert key_of({"namespace": "llm", "slo": "chat-a"}, counters) == ("llm", "chat-a")
    assert key_of({"namespace": "other", "slo": "chat-a"}, counters) is None
    assert key_of({}, foreign) == ("", "ext-gw")


def test_slices_of_foreign_metrics_count_their_own_events(documents: Documents) -> None:
    sliced = (
        "metadata: {name: ext}\nmetrics:\n"
        "  - {name: gw, objective: 99, ratio: {bad: b, total: t}, slice: {length: 10m, "
        "good_share: 50}}\n"
        "  - {name: full, objective: 99, gauge: {metric: g, below: 1}, slice: {length: 10m, "
        "good_share: 50}}\n"
    )
    ratio, gauge = groups(documents(sliced), Options(clusters=("east",)))
    assert str(ratio.requests) == 'sum(increase(t{cluster="east"}[5m]))'
    assert str(ratio.bad_requests) == 'sum(increase(b{cluster="east"}[5m]))'
    assert "[10m]" in str(ratio.bad)
    assert str(gauge.requests) == 'count_over_time(max(g{cluster="east"})[299999ms:1m])'
    assert str(gauge.bad_requests).startswith("count_over_time(")
