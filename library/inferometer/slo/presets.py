"""Promises that others have published, as start points for a class of one's own.

Papers and guides mostly give a percentile of each metric apart. Here all limits hold for the same
request, as everywhere in an SLO document, so the same numbers promise more. Read them as the
order of magnitude that a use needs, and set `objective` to what your users were told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MLPERF: Final = "MLPerf Inference v6.0, mlperf.conf (99th percentile of each)"
GUIDELLM: Final = "GuideLLM, guide to service level objectives"
DISTSERVE: Final = "DistServe (OSDI 2024), table of workloads and limits"
LLM_D: Final = "llm-d, service classes of its examples"
SARATHI: Final = (
    "Sarathi-Serve (OSDI 2024), limits of the 99th percentile of gaps; read second-hand"
)
ETALON: Final = "Etalon (arXiv 2407.07000), fluidity index"
OPENAI: Final = "OpenAI, latency promises of the scale tier"
AZURE: Final = "Azure OpenAI, latency promises of provisioned throughput"


@dataclass(frozen=True, slots=True)
class Preset:
    """A promise of somebody else: `good` as a document writes it, and where it comes from.

    `slices` promises slices of 5 minutes, of which half of the requests must be good.
    """

    name: str
    objective: str
    good: tuple[tuple[str, str], ...]
    source: str
    slices: bool = False

    def text(self) -> str:
        """Return it as one entry of `classes`."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"  # {self.source}"
        yield f"  - name: {self.name}"
        yield "    match: {stream: true}"
        yield f"    objective: {self.objective}"
        if self.slices:
            yield "    weight: slice"
            yield "    slice: {length: 5m, good_share: 50}"
        yield f"    good: {{{', '.join(f'{key}: {value}' for key, value in self.good)}}}"


def _times(name: str, source: str, *, objective: str = "99", **limits: str) -> Preset:
    return Preset(name, objective, tuple(limits.items()), source)


def _rate(name: str, source: str, tpot: str) -> Preset:
    return Preset(name, "99", (("tpot", tpot),), source, slices=True)


def _gap(name: str, within: str) -> Preset:
    return _times(name, SARATHI, itl=f"{{within: {within}, share: 99}}")


PRESETS: Final = (
    _times("mlperf-llama2-70b", MLPERF, ttft="2s", tpot="200ms"),
    _times("mlperf-llama2-70b-interactive", MLPERF, ttft="450ms", tpot="40ms"),
    _times("mlperf-llama3-1-8b", MLPERF, ttft="2s", tpot="100ms"),
    _times("mlperf-llama3-1-8b-interactive", MLPERF, ttft="500ms", tpot="30ms"),
    _times("mlperf-llama3-1-405b", MLPERF, ttft="6s", tpot="175ms"),
    _times("mlperf-llama3-1-405b-interactive", MLPERF, ttft="4500ms", tpot="80ms"),
    _times("mlperf-mixtral-8x7b", MLPERF, ttft="2s", tpot="200ms"),
    _times("mlperf-deepseek-r1", MLPERF, ttft="2s", tpot="80ms"),
    _times("mlperf-deepseek-r1-interactive", MLPERF, ttft="1500ms", tpot="15ms"),
    _times("mlperf-gpt-oss-120b", MLPERF, ttft="3s", tpot="80ms"),
    _times("mlperf-gpt-oss-120b-interactive", MLPERF, ttft="2s", tpot="15ms"),
    _times("guidellm-chat", GUIDELLM, ttft="200ms", itl="50ms"),
    _times("guidellm-rag", GUIDELLM, ttft="300ms", itl="100ms", e2e="3s"),
    _times("guidellm-agent", GUIDELLM, e2e="5s"),
    _times("guidellm-content", GUIDELLM, ttft="600ms", itl="200ms"),
    _times("guidellm-code-generation", GUIDELLM, ttft="500ms", itl="150ms"),
    _times("guidellm-code-completion", GUIDELLM, e2e="2s"),
    _times("distserve-chat-13b", DISTSERVE, objective="90", ttft="250ms", tpot="100ms"),
    _times("distserve-chat-66b", DISTSERVE, objective="90", ttft="2500ms", tpot="150ms"),
    _times("distserve-chat-175b", DISTSERVE, objective="90", ttft="4s", tpot="200ms"),
    _times("distserve-code-completion", DISTSERVE, objective="90", ttft="125ms", tpot="200ms"),
    _times("distserve-summarisation", DISTSERVE, objective="90", ttft="15s", tpot="150ms"),
    _times("llm-d-premium", LLM_D, ttft="500ms", tpot="24ms"),
    _times("llm-d-freemium", LLM_D, ttft="2s", tpot="200ms"),
    _times(
        "etalon-fluidity",
        ETALON,
        ttft="{base: 500ms, per_1k_prompt_tokens: 40ms}",
        fluidity="{first: ttft, each: 60ms, min: 0.9}",
    ),
    _rate("openai-50-tokens-a-second", OPENAI, "20ms"),
    _rate("openai-80-tokens-a-second", OPENAI, "12.5ms"),
    _rate("openai-90-tokens-a-second", OPENAI, "11.1ms"),
    _rate("openai-100-tokens-a-second", OPENAI, "10ms"),
    _rate("azure-50-tokens-a-second", AZURE, "20ms"),
    _rate("azure-100-tokens-a-second", AZURE, "10ms"),
    _gap("sarathi-mistral-7b-strict", "100ms"),
    _gap("sarathi-mistral-7b-relaxed", "500ms"),
    _gap("sarathi-yi-34b-strict", "200ms"),
    _gap("sarathi-yi-34b-relaxed", "1s"),
    _gap("sarathi-70b-strict", "1s"),
    _gap("sarathi-70b-relaxed", "5s"),
)
