"""Usage injection of one exchange: the request is held until it is whole, the answer is filtered.

`inject` knows what may be changed; here is when.
"""

from typing import Literal

from inferometer.sidecar.heads import FIELD_LINE, RequestHead, ResponseHead
from inferometer.sidecar.inject import LAST_CHUNK, Result, Stripper, ask, rechunk, strippable

Mode = Literal["inject_strip", "inject"]


class Asking:
    """Asks for usage in one request, and takes it out of the answer where the mode says so."""

    def __init__(self, mode: Mode) -> None:
        """Hold the request from its first byte."""
        self._mode = mode
        self._parts: list[bytes] = []
        self._asked = False
        self._stripper: Stripper | None = None
        self._rechunks = False

    def hold(self, payload: bytes) -> None:
        """Keep a part of the request body; its length was checked before."""
        self._parts.append(payload)

    def whole(self, head: RequestHead) -> bytes:
        """Return the whole request to send upstream, asking for usage if that is safe."""
        body = b"".join(self._parts)
        self._parts.clear()
        asked = ask(head, body)
        if asked is None:
            return head.forward + body
        self._asked = True
        return asked.forward + asked.body

    def answered(self, head: ResponseHead) -> bytes:
        """Look whether something can be taken out of this answer; return its field lines.

        Where chunks are made anew, trailers are dropped, and so is the field that announces them.
        """
        if not (self._asked and self._mode == "inject_strip" and strippable(head)):
            return head.block
        self._stripper = Stripper()
        self._rechunks = head.framing.kind == "chunked"
        lines = FIELD_LINE.findall(head.block)
        return b"".join(b"%b:%b\r\n" % line for line in lines if line[0].lower() != b"trailer")

    @property
    def filters(self) -> bool:
        """Whether the payload of the answer goes through `filtered` and `rest`."""
        return self._stripper is not None

    def filtered(self, payload: bytes, *, bare: bool) -> bytes:
        """Return what goes to the client of a part of the body; `bare` without HTTP chunks."""
        assert self._stripper is not None
        kept = self._stripper.feed(payload)
        return kept if bare or not self._rechunks else rechunk(kept)

    def rest(self, *, bare: bool) -> bytes:
        """Return what goes to the client at the end of a complete body."""
        assert self._stripper is not None
        kept = self._stripper.close()
        return kept if bare or not self._rechunks else rechunk(kept) + LAST_CHUNK

    @property
    def counted(self) -> tuple[Mode, Result] | None:
        """The labels to count this exchange under, None where nothing was asked."""
        if not self._asked:
            return None
        return self._mode, "kept" if self._stripper is None else self._stripper.result
