import pytest

from inferometer.addresses import Address
from inferometer.errors import SettingsError
from inferometer.live.settings import POINTS_MAX, Settings
from inferometer.live.watch import TARGETS_MAX
from inferometer.settings import resolve


def made(*argv: str) -> Settings:
    return resolve(Settings, argv, environ={}, program="watch")


def test_sidecars_are_plain_words() -> None:
    got = made("http://a:1", "https://b:2", "--window-s", "5")
    assert [target.name for target in got.admin] == ["a:1", "b:2"]
    assert got.window_s == 5


def test_the_page_is_on_the_loopback_unless_told_otherwise() -> None:
    assert made().listen.host == "127.0.0.1"
    assert made("--listen", "0.0.0.0:1").listen == Address("0.0.0.0", 1)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["http://a:1", "a:1"], "given twice"),
        ([f"a:{port}" for port in range(1, TARGETS_MAX + 2)], f"1 to {TARGETS_MAX} sidecars"),
        (["--listen", "unix:/a"], "HOST:PORT"),
        (["ftp://a"], "admin URL"),
        (["--interval-s", "0.1"], "0.5"),
    ],
)
def test_what_cannot_be_shown_is_refused(argv: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        made(*argv)


def test_the_history_is_bounded_in_points() -> None:
    assert made("--history-s", "60", "--interval-s", "2").points_max == 30
    assert made("--history-s", "3600", "--interval-s", "0.5").points_max == POINTS_MAX
