from pathlib import Path

import pytest

from inferometer.errors import SettingsError
from inferometer.gpu.mapping import Settings, api_server, main

CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


def test_a_file_is_needed() -> None:
    with pytest.raises(SettingsError, match="a value is needed"):
        main([])


def test_the_api_server_is_asked_only_where_all_is_known(tmp_path: Path) -> None:
    token = tmp_path / "token"
    settings = Settings(file=Path("x"), node_name="n1")
    assert api_server(settings, CLUSTER, token) is None
    token.write_text("t")
    found = api_server(settings, CLUSTER, token)
    assert found is not None
    assert (found.host, found.port, found.node) == ("10.0.0.1", 6443, "n1")
    assert api_server(settings, {}, token) is None
    assert api_server(Settings(file=Path("x")), CLUSTER, token) is None
    named = api_server(Settings(file=Path("x")), {**CLUSTER, "NODE_NAME": "n2"}, token)
    assert named is not None
    assert named.node == "n2"
    odd = api_server(settings, {**CLUSTER, "KUBERNETES_SERVICE_PORT": "tcp"}, token)
    assert odd is not None
    assert odd.port == 443
