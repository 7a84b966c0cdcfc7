"""What a user may set of a sidecar; the text below each field is what `--help` says."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from inferometer.settings import Address, Upstream, parse_address, parse_upstream

Dialect = Literal[
    "auto",
    "openai_chat",
    "openai_completions",
    "openai_responses",
    "openai_vectors",
    "anthropic",
    "tgi",
    "triton",
    "ollama",
    "llamacpp",
    "torchserve",
    "tfserving",
    "opaque",
]
"""The dialects of `inferometer.stream.request`, and `auto`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Relays requests to a model server, byte for byte, and measures each of them."""

    listen: Address = field(
        default=Address(host="0.0.0.0", port=8080),  # noqa: S104  (clients are elsewhere)
        metadata={"parse": parse_address},
    )
    """Where clients connect: `HOST:PORT` or `unix:/path`. In a pod this is the port that the
    Service targets."""

    upstream: Upstream = field(
        default=Upstream(tls=False, host="127.0.0.1", port=8000, path=None),
        metadata={"parse": parse_upstream},
    )
    """The model server: `http://HOST:PORT`, `https://HOST:PORT` or `http+unix:///path`. The only
    place where the sidecar ever connects; nothing in a request can change it."""

    admin: Address = field(
        default=Address(host="127.0.0.1", port=9464), metadata={"parse": parse_address}
    )
    """Where `/metrics`, `/healthz` and `/readyz` answer, on a thread of their own, so that a busy
    relay can still be seen."""

    slo: tuple[Path, ...] = field(default=(), metadata={"reload": True})
    """SLO documents. Each request is judged when it is certain whether it was good; without a
    document nothing is judged."""

    web_config: Path | None = None
    """TLS and basic authentication of the admin address, in the format of Prometheus'
    exporter-toolkit."""

    dialect: Dialect = "auto"
    """How answers are read: `auto` goes by route, content type and first bytes; or the name of one
    dialect for all routes."""

    models: tuple[str, ...] = ()
    """Model names that always get a label of their own, even after a flood of made-up names."""

    tenant_header: str = ""
    """The request header that names the tenant, for matching SLO classes only, never as a label."""

    stall_s: float = field(default=1.0, metadata={"minimum": 0.001})
    """A silence inside a stream that long counts as a stall."""

    series_max: int = field(default=2000, metadata={"minimum": 200, "maximum": 20_000})
    """Series of requests, SLO series apart. Room for about four models with all metrics; what does
    not fit is counted under the model `other`."""

    measure_interval_s: float = field(default=0.05, metadata={"minimum": 0.01, "maximum": 0.25})
    """How often the measuring thread empties the ring. Verdicts are at most this late."""

    tls_cert: Path | None = None
    """Certificate chain (PEM) shown to clients; with it `--listen` speaks TLS. Files are read
    again when they change."""

    tls_key: Path | None = None
    """Private key of `--tls-cert`, where it is not in the same file."""

    tls_client_ca: Path | None = None
    """Clients must show a certificate of this authority (PEM)."""

    upstream_ca: Path | None = None
    """Authority (PEM) that vouches for an `https` upstream, instead of the system's."""

    upstream_cert: Path | None = None
    """Certificate and key (PEM) that the sidecar shows to an `https` upstream."""

    upstream_name: str = ""
    """The name to look for in the upstream's certificate, where it is not the host of the URL."""

    usage_injection: Literal["off", "inject_strip", "inject"] = "off"
    """Ask OpenAI-compatible servers for token counts in streams that do not: stock streams carry
    none, so tokens/s and time per token stay unknown. `inject_strip` takes the extra event out of
    the answer again, since some clients fail on it. Only for engines that accept `stream_options`;
    vLLM can be told to always send usage, which is better."""

    client_half_close: Literal["abort", "serve"] = "abort"
    """What a client's FIN before the answer is complete means: it left (as in nginx and Envoy, and
    a GPU is dear), or it still reads."""

    client_abort: Literal["close", "drain"] = "close"
    """When a client leaves, close its upstream connection at once, or read the answer to its end,
    for servers where an abort kills a whole batch."""

    client_abort_drain_s: float = field(default=600.0, metadata={"minimum": 1.0})
    """With `--client-abort drain`: how long such an answer is read at most."""

    http2: Literal["tunnel", "refuse"] = "tunnel"
    """HTTP/2 with prior knowledge (gRPC): passed as bytes and measured as bytes, or refused."""

    header_timeout_s: float = field(default=10.0, metadata={"minimum": 0.1})
    """How long a client may take over a request head before 408; a slow sender holds a
    connection."""

    body_rate_min_bytes: int = field(default=64, metadata={"minimum": 0})
    """Bytes a second that an upload must reach, over ten seconds, before 408. Slow prompts pass,
    a trickle that only holds a connection does not."""

    client_idle_timeout_s: float = field(default=650.0, metadata={"minimum": 1.0})
    """How long an idle connection of a client is kept. Longer than load balancers keep theirs
    (600 s), or requests would race with the close."""

    client_stall_timeout_s: float = field(default=300.0, metadata={"minimum": 1.0})
    """How long a client may leave an answer unread before it is cut."""

    connect_timeout_s: float = field(default=5.0, metadata={"minimum": 0.05})
    """How long connecting to the upstream may take, TLS included, before 504."""

    first_byte_timeout_s: float = field(default=0.0, metadata={"minimum": 0.0})
    """How long the upstream may be silent before its answer begins; 0: as long as it likes, since
    a prefill may take half an hour. TCP keepalive finds dead peers."""

    upstream_idle_timeout_s: float = field(default=0.0, metadata={"minimum": 0.0})
    """How long the upstream may be silent inside an answer; 0: as long as it likes."""

    upstream_keepalive_s: float = field(default=4.0, metadata={"minimum": 0.0})
    """How long an idle upstream connection is kept. Less than servers keep theirs (5 s in uvicorn
    and vLLM), or requests would race with the close."""

    connections_max: int = field(default=4096, metadata={"minimum": 1, "maximum": 60_000})
    """Client connections; one more gets 503 with Retry-After."""

    drain_delay_s: float = field(default=0.0, metadata={"minimum": 0.0})
    """How long the listener stays open after SIGTERM, not ready, until endpoints have forgotten
    this pod. The chart sets it."""

    drain_timeout_s: float = field(default=25.0, metadata={"minimum": 0.0})
    """How long after SIGTERM streams may run, before they are cut. Less than the grace period of
    the pod."""

    readiness: Literal["listening", "upstream"] = "listening"
    """When `/readyz` says yes: once the sidecar listens, or only while the upstream can be
    connected."""

    log_level: Literal["debug", "info", "warning", "error"] = field(
        default="info", metadata={"reload": True}
    )
    """Nothing is logged per request above `debug`."""

    log_form: Literal["text", "json"] = "text"
    """How log lines are written to standard error."""
