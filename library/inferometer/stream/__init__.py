"""What a stream of generated tokens means: bytes to frames, events, a timeline and an outcome.

Everything here is pure: bytes and moments come in as arguments, records go out. No clock, no I/O.
"""
