"""What holds for every test."""

pytest_plugins = ["support.golden", "support.parallel", "support.skips"]
