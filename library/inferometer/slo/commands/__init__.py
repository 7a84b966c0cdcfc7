"""The subcommands of `inferometer slo`, one a file: settings, and a `main` that prints.

What they know and compute stands in the modules of `inferometer.slo`; only here is anything read
from the outside or written to it.
"""
