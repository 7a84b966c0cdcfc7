"""What can go wrong in a benchmark."""


class MissingError(Exception):
    """A tool or proxy is not there or does not start: it is named and left out, never guessed."""


class BrokenError(Exception):
    """A run did not do what its numbers would claim: requests failed, bytes differ."""
