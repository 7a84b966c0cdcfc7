"""The inference sidecar: relays streams untouched, and measures a copy of what it relayed."""
