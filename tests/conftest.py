"""What holds for every test."""

pytest_plugins = ["support.alone", "support.skips"]
