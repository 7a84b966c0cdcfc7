"""What the tests' amdsmi says: a file that they write, found by `AMD_FAKE_STATE`.

`Board` is the tests' end; `fake_amdsmi/amdsmi.py` is the binding's, with the functions, keys and
enumerations of amdsmi 7.0.2.
"""

import json
import os
from pathlib import Path
from typing import Any

VARIABLE = "AMD_FAKE_STATE"
BINDINGS = Path(__file__).parent / "fake_amdsmi"
NA = "N/A"

ANSWERS: dict[str, Any] = {
    "get_gpu_device_bdf": "0000:c1:00.0",
    "get_gpu_device_uuid": "30ff74a1-0000-1000-80d1-{index:012x}",
    "get_gpu_asic_info": {
        "market_name": "AMD Instinct MI300X",
        "asic_serial": "0x30D18B0F5A1B2C3D",
        "num_compute_units": 304,
        "target_graphics_version": "gfx942",
    },
    "get_gpu_vbios_info": {"version": "022.040.003.042.000001"},
    "get_gpu_driver_info": {"driver_version": "6.12.12"},
    "get_gpu_activity": {"gfx_activity": 60, "umc_activity": 30, "mm_activity": NA},
    "get_gpu_memory_usage": 300 << 20,
    "get_gpu_memory_total": 196592 << 20,
    "get_power_info": {
        "socket_power": 141,
        "current_socket_power": 141,
        "average_socket_power": NA,
        "power_limit": 750,
    },
    "get_energy_count": {
        "energy_accumulator": 1_000_000_007,
        "counter_resolution": 15.259,
        "timestamp": 1,
    },
    "get_temp_metric": {"JUNCTION": 45, "VRAM": 38},
    "get_clock_info": {"GFX": {"clk": 2100, "max_clk": 2100}, "MEM": {"clk": 900}},
    "get_gpu_metrics_info": {
        "accumulation_counter": 1000,
        "ppt_residency_acc": 100,
        "socket_thm_residency_acc": 50,
        "prochot_residency_acc": 0,
    },
    "get_violation_status": {
        "acc_counter": 10,
        "acc_ppt_pwr": 1,
        "acc_socket_thrm": 0,
        "acc_prochot_thrm": 0,
    },
    "get_power_cap_info": {"power_cap": 750_000_000},
    "get_gpu_total_ecc_count": {"correctable_count": 5, "uncorrectable_count": 1},
    "get_pcie_info": {
        "pcie_static": {"max_pcie_width": 16, "max_pcie_speed": 32000},
        "pcie_metric": {"pcie_width": 16, "pcie_speed": 16000, "pcie_replay_count": 7},
    },
    "get_gpu_fan_speed": {"error": 2},
    "get_gpu_fan_speed_max": {"error": 2},
    "get_gpu_process_list": [
        {
            "name": "python3",
            "pid": 4242,
            "mem": 0,
            "engine_usage": {"gfx": 0, "enc": 0},
            "memory_usage": {"gtt_mem": 0, "cpu_mem": 0, "vram_mem": 100 << 20},
            "cu_occupancy": 152,
        }
    ],
}


class Board:
    """The tests' end."""

    def __init__(self, path: Path, gpus: int = 1) -> None:
        self.path = path
        self.state: dict[str, Any] = {
            "init": 0,
            "listing": 0,
            "gpus": [{} for _ in range(gpus)],
            "without": [],
        }
        self.write()

    def answer(self, function: str, answer: object, *, gpu: int = 0) -> None:
        """Set what a function returns; {"error": code} makes it raise."""
        self.state["gpus"][gpu][function] = answer
        self.write()

    def fail(self, code: int, *, gpu: int = 0) -> None:
        """Make every function raise."""
        self.state["gpus"][gpu] = {name: {"error": code} for name in ANSWERS}
        self.write()

    def well(self, *, gpu: int = 0) -> None:
        self.state["gpus"][gpu] = {}
        self.write()

    def change(self, **state: object) -> None:
        self.state.update(state)
        self.write()

    def write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.state))
        fresh.replace(self.path)


def read() -> dict[str, Any]:
    state: dict[str, Any] = json.loads(Path(os.environ[VARIABLE]).read_text())
    return state


def answer(gpu: int, function: str, choice: str | None = None) -> object:
    """Return what the state says, and the answer for a member of an enumeration if it has them."""
    given = read()["gpus"][gpu].get(function, ANSWERS[function])
    if choice is not None and isinstance(given, dict) and choice in given:
        given = given[choice]
    if isinstance(given, str):
        return given.format(index=gpu)
    return given
