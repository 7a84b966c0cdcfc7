"""The one error of this package: a question that got no answer that could be used."""

from inferometer.errors import WorldError
from inferometer.prom.answer import Hold, Reason


class PrometheusError(WorldError):
    """A question that failed. `reason` tells how, in the words of a Hold.

    `status` is that of HTTP where the server refused the request as such, else None.
    """

    def __init__(
        self, message: str, *, reason: Reason, hint: str = "", status: int | None = None
    ) -> None:
        """Keep the reason; message and hint hold no credentials."""
        self.reason: Reason = reason
        self.status = status
        super().__init__(message, hint)

    def hold(self, since_s: float | None = None) -> Hold:
        """Return it as an answer."""
        return Hold(self.reason, str(self), since_s)
