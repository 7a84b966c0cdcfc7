"""The live page: reads `/metrics` of running sidecars and draws the last minutes as charts.

A reader of what every sidecar exports, and nothing more: no sidecar knows that it is watched.
"""
