"""What backends have in common: bindings imported late, sums that nothing counts, the PCI bus."""
