import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferometer.errors import SettingsError
from inferometer.web.config import (
    LOOK_EVERY_S,
    TRY_AGAIN_S,
    USERS_MAX,
    Watch,
    WebConfig,
    load,
)

HASH = "$2y$10$" + "a" * 53


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "web.yaml"


def read(file: Path, text: str) -> WebConfig:
    file.write_text(text, encoding="utf-8")
    return load(file)


def problems(file: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        read(file, text)
    return [str(problem).removeprefix(f"{file}:") for problem in error.value.problems]


def test_an_empty_file_asks_for_nothing(file: Path) -> None:
    assert read(file, "") == WebConfig(files=(file,))
    assert read(file, "# nothing yet\n") == WebConfig(files=(file,))


def test_a_file_in_the_format_of_the_exporter_toolkit_is_read(file: Path) -> None:
    config = read(
        file,
        f"""\
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    Content-Security-Policy: "default-src 'self'"
    X-XSS-Protection: ""
basic_auth_users:
  alice: {HASH}
  bob: "{HASH}"
rate_limit:
  interval: 2s
  burst: 20
""",
    )
    assert config.users == {"alice": HASH, "bob": HASH}
    assert config.headers == (
        ("X-Frame-Options", "deny"),
        ("Content-Security-Policy", "default-src 'self'"),
    )
    assert (config.interval_s, config.burst) == (2.0, 20)
    assert config.tls is None


def test_an_interval_of_zero_limits_nothing(file: Path) -> None:
    assert read(file, "rate_limit: {interval: 0, burst: 0}").interval_s == 0


@pytest.mark.req("LC-03")
def test_all_problems_are_told_at_once_with_their_places(file: Path) -> None:
    found = problems(
        file,
        f"""\
basic_auth_user:
  alice: {HASH}
http_server_config:
  http3: true
  headers:
    X-Frame-Options: allow
    Server: mine
    Content-Security-Policy: "a\\nb"
    X-XSS-Protection: [1]
rate_limit: {{interval: 5, burst: -1}}
""",
    )
    assert [line.split(": ")[0] for line in found] == [
        "1:1", "4:3", "6:22", "7:5", "8:30", "9:23", "10:24", "10:34",
    ]  # fmt: skip
    assert found[0].endswith("hint: did you mean 'basic_auth_users'?")
    assert "X-Frame-Options must be one of deny, sameorigin, got 'allow'" in found[2]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "x",
        "---\n---\n",
        "rate_limit: 5",
        "http_server_config: []",
        "rate_limit: {interval: 1s}",
        "basic_auth_users: x",
        "basic_auth_users: {a: [b]}",
        "http_server_config: {headers: 3}",
    ],
)
def test_another_shape_is_a_problem(file: Path, text: str) -> None:
    assert problems(file, text)


@pytest.mark.parametrize(
    "word",
    [
        "canary",
        "$2y$10$short",
        "$1$10$" + "a" * 53,
        "$2y$03$" + "a" * 53,
        "$2y$17$" + "a" * 53,
        '""',
    ],
)
@pytest.mark.req("PR-01")
def test_a_password_that_is_no_bcrypt_hash_is_refused_and_never_shown(
    file: Path, word: str
) -> None:
    (found,) = problems(file, f"basic_auth_users:\n  alice: {word}\n")
    assert found.startswith("2:10: the password of 'alice' must be a bcrypt hash")
    assert word.strip('"') not in found or not word.strip('"')


def test_the_number_of_users_has_a_bound(file: Path) -> None:
    users = [f"  u{n}: {HASH}\n" for n in range(USERS_MAX + 1)]
    assert len(read(file, "basic_auth_users:\n" + "".join(users[:-1])).users) == USERS_MAX
    (found,) = problems(file, "basic_auth_users:\n" + "".join(users))
    assert "at most 256 users" in found


def test_users_need_bcrypt(file: Path) -> None:
    file.write_text(f"basic_auth_users: {{alice: {HASH}}}", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"pip install 'inferometer\[sidecar\]'"):
        load(file, can_verify=lambda: False)
    file.write_text("rate_limit: {interval: 1s, burst: 1}", encoding="utf-8")
    assert load(file, can_verify=lambda: False).burst == 1


def test_a_file_that_is_not_there_is_a_problem(file: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("abx:{}[]\n -'\"#&*!|>%@\t1é"), max_size=80))
def test_no_text_raises_anything_but_problems(file: Path, text: str) -> None:
    try:
        config = read(file, text)
    except SettingsError as error:
        assert error.problems  # noqa: PT017 - both ways are right
    else:
        assert config == WebConfig(files=(file,))


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def write_rate(file: Path, burst: int) -> None:
    file.write_text(f"rate_limit: {{interval: 1s, burst: {burst}}}", encoding="utf-8")
    at_ns = file.stat().st_mtime_ns + burst  # also on file systems that count in seconds
    os.utime(file, ns=(at_ns, at_ns))


@pytest.mark.req("LC-03")
def test_a_changed_file_is_taken_over_within_a_second(file: Path) -> None:
    clock = Clock()
    write_rate(file, 1)
    watch = Watch(lambda: load(file), clock_s=clock)
    write_rate(file, 22)
    assert watch.refresh().burst == 1
    clock.now_s += LOOK_EVERY_S
    assert watch.refresh().burst == 22
    assert watch.failures == 0


@pytest.mark.req("LC-03")
def test_a_broken_file_leaves_the_last_good_state_and_is_counted(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    write_rate(file, 1)
    watch = Watch(lambda: load(file), clock_s=clock)
    file.write_text("rate_limit: {burst", encoding="utf-8")
    for _ in range(3):  # it is read again when it changes, not at every look
        clock.now_s += LOOK_EVERY_S
        assert watch.refresh().burst == 1
    assert watch.failures == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the changed web configuration is not used"
    ]
    file.unlink()
    clock.now_s += LOOK_EVERY_S
    assert watch.refresh().burst == 1
    assert watch.failures == 2
    write_rate(file, 3)
    clock.now_s += LOOK_EVERY_S
    assert watch.refresh().burst == 3


@pytest.mark.req("LC-03")
def test_what_failed_is_tried_again_though_no_known_file_changed() -> None:
    clock = Clock()
    answers = [WebConfig(burst=1), None, WebConfig(burst=2)]

    def read() -> WebConfig:
        found = answers.pop(0)
        if found is None:
            return load(Path("/nonexistent/web.yaml"))
        return found

    watch = Watch(read, clock_s=clock)
    watch.current = WebConfig(burst=1, files=(Path("/nonexistent/web.yaml"),))
    clock.now_s += LOOK_EVERY_S
    assert watch.refresh().burst == 1
    clock.now_s += TRY_AGAIN_S - 0.1
    assert watch.refresh().burst == 1
    clock.now_s += LOOK_EVERY_S
    assert watch.refresh().burst == 2


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    clock = Clock()
    link = tmp_path / "link"
    for name, burst in (("old", 1), ("new", 2)):
        (tmp_path / name).mkdir()
        write_rate(tmp_path / name / "web.yaml", burst)
    link.symlink_to("old")
    watch = Watch(lambda: load(link / "web.yaml"), clock_s=clock)
    link.unlink()
    link.symlink_to("new")
    clock.now_s += LOOK_EVERY_S
    assert watch.refresh().burst == 2
