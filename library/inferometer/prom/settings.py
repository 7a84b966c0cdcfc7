"""What a user may set of a Prometheus that is asked: for the settings of each program that asks."""

from dataclasses import dataclass, field
from pathlib import Path

from inferometer.errors import Place, Problem, SettingsError
from inferometer.prom.client import Client
from inferometer.prom.credentials import basic, bearer, nobody, trust
from inferometer.prom.endpoint import Endpoint
from inferometer.prom.wire import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a Prometheus is asked. Programs add the setting `prometheus`, its URL, themselves."""

    prometheus_ca: Path | None = field(
        default=None, metadata={"group": "how a Prometheus is asked"}
    )
    """Certificates (PEM) that the certificate of an https server is checked against; without
    the file those of the system."""

    prometheus_auth_file: Path | None = None
    """A file with one line `user:password`, for basic authentication. It is read for each
    question, so it may change."""

    prometheus_token_file: Path | None = None
    """A file with a bearer token, such as that of a service account. It is read for each
    question, so it may change."""

    prometheus_tenant: str = ""
    """Tenant of a Mimir or Cortex, sent as `X-Scope-OrgID`."""

    prometheus_timeout_s: float = field(default=30.0, metadata={"minimum": 0.1, "maximum": 300.0})
    """How long one answer may take. Sums over a month may need seconds."""

    def client(self, endpoint: Endpoint) -> Client:
        """Return what asks. Raises SettingsError for files that cannot be used."""
        if self.prometheus_auth_file and self.prometheus_token_file:
            message = "is given beside --prometheus-auth-file"
            problem = Problem(Place("--prometheus-token-file"), message, "take one of them")
            raise SettingsError([problem])
        authorization = nobody
        if self.prometheus_auth_file:
            authorization = basic(self.prometheus_auth_file)
        elif self.prometheus_token_file:
            authorization = bearer(self.prometheus_token_file)
        if not all("!" <= char <= "~" for char in self.prometheus_tenant):
            problem = Problem(Place("--prometheus-tenant"), "must be one word of ASCII")
            raise SettingsError([problem])
        return Client(
            endpoint,
            trusted=trust(self.prometheus_ca) if endpoint.tls else None,
            authorization=authorization,
            tenant=self.prometheus_tenant,
            bounds=Bounds(answer_s=self.prometheus_timeout_s),
        )
