from decimal import Decimal
from pathlib import Path

from inferometer.demo import limits
from inferometer.slo import spec


def test_the_sidecar_reads_the_same_limits_that_the_truth_is_judged_by(tmp_path: Path) -> None:
    file = tmp_path / "slo.yaml"
    file.write_text(limits.document())
    documents = spec.load([file])
    assert spec.unsupported(documents) == []
    (chat,) = documents[0].classes
    assert chat.id == limits.SLO
    assert chat.objective == Decimal(str(limits.OBJECTIVE * 100))
    assert chat.good.ttft is not None
    assert chat.good.itl is not None
    assert chat.good.ttft.base_ns == round(limits.TTFT_S * 1e9)
    assert chat.good.itl.within_ns == round(limits.ITL_S * 1e9)
    assert float(chat.good.itl.share) == limits.ITL_SHARE * 100
    assert chat.good.gap_ns == round(limits.GAP_S * 1e9)
