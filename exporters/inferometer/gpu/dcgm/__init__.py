"""NVIDIA devices through a running DCGM host engine."""
