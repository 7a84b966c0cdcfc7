import io

import pytest

from inferometer.slo.table import Cell, Row, coloured, lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    stream: io.StringIO, environ: dict[str, str], *, expected: bool
) -> None:
    assert coloured(stream, environ) is expected


ROWS = [
    Row([Cell("a", "good"), Cell("99.5 %"), Cell("")]),
    Row([Cell("longer", "bad"), Cell("unknown"), Cell("x")], ["a note", "another"]),
]


def test_columns_line_up_and_numbers_stand_to_the_right() -> None:
    assert list(lines(("name", "good", "state"), ROWS, colours=False)) == [
        "name       good  state",
        "a        99.5 %",
        "longer  unknown  x",
        "    a note",
        "    another",
    ]


def test_colours_change_no_column() -> None:

    painted = list(lines(("name", "good", "state"), ROWS, colours=True))
    assert painted[1] == "\x1b[32ma\x1b[0m        99.5 %"
    assert painted[2] == "\x1b[1;31mlonger\x1b[0m  unknown  x"


def test_a_table_without_rows_is_its_head() -> None:
    assert list(lines(("a", "b"), [], colours=False)) == ["a  b"]
