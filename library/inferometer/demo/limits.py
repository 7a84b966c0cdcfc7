"""What the demo promises its users: written once, for the sidecar's SLO document and for the truth.

The model server judges its own answers by the same limits, in its own way, so that the summary can
compare two independent verdicts.
"""

from typing import Final

SLO: Final = "demo-chat"
"""The SLO's id, as it stands in metrics: document, then class."""

OBJECTIVE: Final = 0.95
TTFT_S: Final = 0.8
ITL_S: Final = 0.2
ITL_SHARE: Final = 0.95
GAP_S: Final = 1.0


def document() -> str:
    """Return the SLO document that the demo's sidecar judges by."""
    return f"""\
apiVersion: inferometer/v1
kind: SLO
metadata: {{name: demo}}
service: demo
window: {{rolling: 30d}}
classes:
  - name: chat
    match: {{route: [/v1/chat/completions], stream: true}}
    objective: {OBJECTIVE * 100:g}
    weight: request
    good:
      ttft: {TTFT_S * 1000:g}ms
      itl: {{within: {ITL_S * 1000:g}ms, share: {ITL_SHARE * 100:g}, max: {GAP_S:g}s}}
"""
