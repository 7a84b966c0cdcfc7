import pytest

from inferometer.errors import SettingsError
from inferometer.gpu.settings import Settings, parse_endpoint
from inferometer.settings import help_text, resolve


def settings(*argv: str, **environ: str) -> Settings:
    return resolve(Settings, argv, environ=environ, program="gpu-exporter")


def test_the_port_is_that_of_dcgm_exporter() -> None:
    assert str(settings().listen) == "0.0.0.0:9400"


def test_a_backend_may_be_given_several_times() -> None:
    assert settings("--backend", "nvml", "--backend", "fake").backend == ("nvml", "fake")
    assert settings(INFEROMETER_GPU_EXPORTER_BACKEND="nvml,amd").backend == ("nvml", "amd")


@pytest.mark.parametrize(
    "argv",
    [
        ("--backend", "cuda"),
        ("--tick-s", "0.1"),
        ("--tick-s", "61"),
        ("--otlp-period-s", "9"),
        ("--dcgm-names", "old"),
        ("--otlp-endpoint", "localhost:4318"),
    ],
)
def test_what_cannot_be_is_refused(argv: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match=argv[0][2:].replace("-", "_")):
        settings(*argv)


def test_switches_can_be_turned_off() -> None:
    assert settings().processes
    assert not settings("--no-processes").processes


def test_an_endpoint_is_a_url() -> None:
    assert parse_endpoint("https://[::1]:4318/v1/metrics") == "https://[::1]:4318/v1/metrics"
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        parse_endpoint("grpc://x")


def test_help_tells_of_every_setting_and_of_the_other_programs() -> None:
    text = help_text(Settings, "gpu-exporter", width=100)
    for word in ("--list", "--fields", "--no-processes", "record FILE", "podmap FILE", "9400"):
        assert word in text
