"""Settings of the sidecar out of a file, flags or the environment: settings or SettingsError."""

import atexit
import tempfile
from pathlib import Path

from fuzz.pieces import choose
from inferometer.errors import SettingsError
from inferometer.settings import describe, reread
from inferometer.sidecar.settings import Settings

ROWS = describe(Settings, "sidecar")
WORDS = (
    b"listen: ", b"upstream: ", b"models: [a, b]", b"slo: ", b"http://127.0.0.1:80", b"unix:/x",
    b"http+unix:///x", b"[::1]:80", b"series_max: ", b"http2: refuse", b"true", b"off", b"1e999",
    b"nan", b"&a ", b"*a", b"--listen", b"--models=", b"--no-", b"\n", b"- ", b"\t", b"---\n",
    b"INFEROMETER_SIDECAR_LISTEN=", b"header_timeout_s: ", b"@", b"0",
)  # fmt: skip

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-settings-")
atexit.register(_FOLDER.cleanup)
PATH = Path(_FOLDER.name, "sidecar.yaml")


def check(data: bytes) -> None:
    """Nothing but SettingsError, with a message that can be printed."""
    source, body = choose(data, ("file", "flags", "environment"))
    argv: list[str] = []
    environ: dict[str, str] = {}
    if source == "file":
        PATH.write_bytes(body)
        argv = ["--config", str(PATH)]
    words = body.decode("utf-8", "surrogateescape").split("\n")
    if source == "flags":
        argv = [word for word in words if not word.startswith("--config")]
    if source == "environment":
        pairs = [word.partition("=") for word in words]
        environ = {name: value for name, _, value in pairs if "CONFIG" not in name}
    try:
        settings = reread(Settings, argv, environ=environ, program="sidecar")
    except SettingsError as error:
        str(error).encode("utf-8", "surrogateescape")
        return
    assert settings.series_max >= 200
