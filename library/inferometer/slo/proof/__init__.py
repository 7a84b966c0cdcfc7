"""Proofs: what SLOs live through in scenarios, by plain arithmetic and by promtool."""
