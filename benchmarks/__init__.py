"""What inferometer costs, measured next to other proxies: `python -m benchmarks --help`."""
