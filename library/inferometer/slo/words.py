"""What alerts say, as Go templates that Prometheus fills in.

Each number is asked for when the alert fires; a part whose number is unknown is left out, and
nothing is ever shown as zero instead. Labels go into queries by `%q`, which quotes them.
"""

from collections.abc import Iterable

from inferometer.slo import names
from inferometer.slo.names import Options
from inferometer.slo.rule import Pairs

PERCENT = "{{ . | first | value | humanizePercentage }}"
DURATION = "{{ . | first | value | humanizeDuration }}"
NUMBER = "{{ . | first | value | humanize }}"


def known(query: str, text: str, options: Options) -> str:
    """Return text that is shown if the query has an answer, which is `.` inside of it.

    `{}` in the query stands for the matchers that name the SLO of the alert.
    """
    matchers = ",".join(f"{label}=%q" for label in options.key)
    values = " ".join(f"$labels.{label}" for label in options.key)
    filled = query.replace("{}", f"{{{matchers}}}")
    repeated = " ".join([values] * query.count("{}"))
    return f"{{{{ with printf `{filled}` {repeated} | query }}}}{text}{{{{ end }}}}"


def what() -> str:
    """Return the name of the SLO with its namespace, and its service if it has one."""
    namespace = "{{ with $labels.namespace }} in {{ . }}{{ end }}"
    service = "{{ with $labels.service }} (service {{ . }}){{ end }}"
    return f"{{{{ $labels.slo }}}}{namespace}{service}"


def share_bad(window: str, options: Options) -> str:
    """Return how much was bad in a window, and what mostly."""
    share = known(
        f"{names.bad(window)}{{}} / ({names.total(window)}{{}} > 0)",
        f"In the last {window}, {PERCENT} was bad",
        options,
    )
    worst = f"topk(1, sum by (reason) (sum_over_time({names.BAD_REASON}{{}}[{window}])) > 0)"
    reason = known(worst, ', mostly {{ . | first | label "reason" }}', options)
    return f"{share}{reason}."


def budget(options: Options) -> str:
    """Return how much of the budget is spent, and when it will be gone."""
    spent = known(f"1 - {names.REMAINING}{{}}", f" {PERCENT} of the budget is spent", options)
    gone = known(
        f"{names.EXHAUSTION}{{}}", f"; at this rate the rest is gone in {DURATION}", options
    )
    return f"{spent}{gone}."


def annotations(alert: str, summary: str, description: Iterable[str], options: Options) -> Pairs:
    """Return the annotations of an alert; they follow the labels, and name board and runbook."""
    variables = "&".join(
        f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in options.key
    )
    return (
        ("summary", summary),
        ("description", "".join(description)),
        ("runbook_url", f"{options.runbooks_url.rstrip('/')}/{alert}.md"),
        ("dashboard_url", f"{options.dashboards_url.rstrip('/')}/d/inferometer-slo?{variables}"),
    )
