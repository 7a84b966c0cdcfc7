"""The same incidents as sloth's rules see them; the page that tells it shows what was measured."""

from pathlib import Path

import pytest

from support import beside_sloth
from support.beside_sloth import OBJECTIVES
from support.promtool import Promtool, tool
from support.slo_rules import Documents, chat, promised

PAGE = Path(__file__).parents[3] / "docs" / "slo-proof.md"


@pytest.mark.e2e
@pytest.mark.req("SC-03")
def test_sloth_misses_outages_at_low_objectives_and_pages_for_one_request(
    documents: Documents, tmp_path: Path
) -> None:
    classes = {f"o{o.replace('.', '')}": promised(o, tenant=f"t{o}") for o in OBJECTIVES}
    (document,) = documents(chat(classes))
    found = list(beside_sloth.seen(Promtool(tool("2", "promtool")), tmp_path, document))
    by = {(one.scenario, one.objective): one for one in found}
    assert by["outage", "90"].theirs is None
    assert all(one.ours is not None for one in found if one.scenario == "outage")
    quiet = [one for one in found if one.scenario not in {"outage", "half"}]
    assert [one for one in quiet if one.ours is not None] == []
    assert by["one-bad", "99.9"].theirs is not None
    assert "\n".join(beside_sloth.table(found)) in PAGE.read_text("utf-8")
