"""Writes SVG: elements as text, scales from numbers to points, and colours for day and night.

Every text is escaped and every number is written the same way, so the same picture has the same
bytes. There is no script, no link and nothing that is loaded.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

Point = tuple[float, float]

# What XML 1.0 cannot hold, however it is written.
_ILLEGAL: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

STYLE: Final = """\
svg{--bg:#ffffff;--ink:#1f2328;--dim:#59636e;--line:#d1d9e0;--wash:#f6f8fa;--alarm:#cf222e;
--c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df;--c4:#bf3989;--c5:#9a6700;--c6:#0e7490;
--c7:#59636e;font:12px system-ui,sans-serif}
@media(prefers-color-scheme:dark){svg{--bg:#0d1117;--ink:#e6edf3;--dim:#9198a1;--line:#3d444d;
--wash:#151b23;--alarm:#ff7b72;--c0:#4493f8;--c1:#f0883e;--c2:#3fb950;--c3:#ab7df8;--c4:#f778ba;
--c5:#d29922;--c6:#39c5cf;--c7:#9198a1}}
text{fill:var(--ink)}
.dim{fill:var(--dim);font-size:11px}
.title{font-size:16px;font-weight:600}
.name{font-size:13px;font-weight:600}
.grid{stroke:var(--line);stroke-width:1;fill:none}
.limit{stroke:var(--ink);stroke-width:1;stroke-dasharray:4 3;fill:none}
.alarm{stroke:var(--alarm);stroke-width:1.5;fill:none}
.called{fill:var(--alarm);font-weight:600}
.curve{stroke-width:2;fill:none;stroke-linejoin:round}
"""
COLOURS: Final = 8


def clean(text: str) -> str:
    """Return text as XML can hold it."""
    return escape(_ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text))


def shown(value: float) -> str:
    """Return a length in pixels, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def element(tag: str, content: str = "", /, **attributes: str | float) -> str:
    """Return an element. Names of attributes have `_` for `-`; `class_` is `class`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{clean(_attribute(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else shown(value)


def label(x: float, y: float, text: str, **attributes: str | float) -> str:
    """Return a text at a point of its base line."""
    return element("text", clean(text), x=x, y=y, **attributes)


def line(first: Point, second: Point, class_: str = "grid") -> str:
    """Return a straight line."""
    return element("line", x1=first[0], y1=first[1], x2=second[0], y2=second[1], class_=class_)


def curve(points: Iterable[Point], colour: int, *, dashed: bool = False) -> str:
    """Return a line through points in one of the colours; dashed, it shows what is below it."""
    path = " ".join(f"{shown(x)},{shown(y)}" for x, y in points)
    stroke = f"var(--c{colour % COLOURS})"
    dashes = {"stroke_dasharray": "7 7"} if dashed else {}
    return element("polyline", points=path, class_="curve", stroke=stroke, **dashes)


def page(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """Return a whole file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {shown(width)} {shown(height)}"'
        f' width="{shown(width)}" height="{shown(height)}" role="img">'
    )
    ground = element("rect", width=width, height=height, fill="var(--bg)")
    body = (f"<title>{clean(title)}</title>", f"<style>\n{STYLE}</style>", ground, *parts)
    return "\n".join((head, *body, "</svg>", ""))


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a number stands between two pixels; beyond the ends it stands at the end."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a number."""
        kept = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(kept / self.low) / math.log(self.high / self.low)
        else:
            share = (kept - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)
