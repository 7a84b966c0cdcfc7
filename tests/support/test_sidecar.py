"""Ports for sidecars: none is given twice, whoever asks."""

import pytest

from support.sidecar import PORT_MIN, PORTS, free_port, own_ports


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 16])
def test_workers_of_a_run_share_no_port(workers: int) -> None:
    count = str(workers)
    ranges = [
        own_ports({"PYTEST_XDIST_WORKER": f"gw{at}", "PYTEST_XDIST_WORKER_COUNT": count})
        for at in range(workers)
    ]
    given = [port for ports in ranges for port in ports]
    assert len(given) == len(set(given)) >= PORTS - workers
    assert min(given) >= PORT_MIN
    assert max(given) < PORT_MIN + PORTS


def test_without_workers_all_ports_are_ours() -> None:
    assert own_ports({}) == range(PORT_MIN, PORT_MIN + PORTS)


def test_a_worker_gets_a_fresh_port_each_time() -> None:
    assert len({free_port() for _ in range(20)}) == 20
