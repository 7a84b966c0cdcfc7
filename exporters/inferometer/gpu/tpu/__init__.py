"""TPUs through the metrics service of a running libtpu."""
