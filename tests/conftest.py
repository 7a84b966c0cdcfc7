"""What holds for every test."""

pytest_plugins = ["support.parallel", "support.skips"]
