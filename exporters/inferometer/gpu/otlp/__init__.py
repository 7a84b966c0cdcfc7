"""Pushes devices to an OTLP receiver, in the words of its conventions."""
