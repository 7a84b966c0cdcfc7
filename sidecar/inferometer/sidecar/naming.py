"""Under which label the model of one request is counted."""

from typing import TYPE_CHECKING, Final

from inferometer.sidecar.tap import Answered

if TYPE_CHECKING:
    from inferometer.sidecar.desk import Desk

_OK: Final = range(200, 300)


class ModelLabel:
    """The label of a model: `value` is that of now, and stays once output proved the model.

    So all that is counted of a request has one label, also where the answer names its model after
    the first token (llama.cpp does so in its last frame).
    """

    __slots__ = ("_asked", "_desk", "_proven", "_told", "value")

    def __init__(self, desk: "Desk") -> None:
        """Start with a request that could not be read yet."""
        self.value = "unknown"
        self._desk = desk
        self._asked: str | None = None
        self._told: str | None = None
        self._proven = False

    def ask(self, name: str | None) -> None:
        """Take the name in the request; None if it has none."""
        self._asked = name
        self.value = self._desk.peek_model(name)

    def tell(self, name: str) -> None:
        """Take a name in the answer: the first counts, if the request has none."""
        if self._asked is None and self._told is None and not self._proven:
            self._told = name
            self.value = self._desk.peek_model(name)

    def prove(self, answered: Answered | None) -> None:
        """Give the model its label for good: there is output, so it exists."""
        self._proven = True
        self._take(proven=answered is not None and answered.status in _OK)

    def conclude(self, answered: Answered | None, *, outputs: int, tokens: int | None) -> None:
        """Give a model that no output proved its label: an answer without a stream may, too."""
        if self._proven:
            return
        if answered is not None and not outputs:
            self._take(proven=answered.status in _OK and bool(tokens))
        else:
            self.value = self._desk.peek_model(self._name)

    @property
    def _name(self) -> str | None:
        return self._told if self._asked is None else self._asked

    def _take(self, *, proven: bool) -> None:
        self.value = self._desk.take_model(self._name, proven=proven)
