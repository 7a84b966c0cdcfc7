"""The GPU exporter: devices sampled in a child process per driver, shown under DCGM's names."""
