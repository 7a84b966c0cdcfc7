"""What only a running Prometheus knows of SLOs: how they stand, and what would have been."""
