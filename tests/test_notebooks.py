"""The notebooks run from top to bottom, and what they claim is so."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
CLAIMS = {
    "shop_the_look": """
assert share(ways["its true box"], 10) >= 0.9
assert share(ways["look"], 1) >= 2 * share(ways["whole picture"], 1)
assert figures[True] > figures[False]
""",
    "quickstart": """
assert (report.added, report.failed, again.embedded) == (459, 0, 0)
assert whole[0].id == "plants/daffodil"
assert "tools/hammer" in part.ids[:3]
assert sum(hit.attributes["kind"] == "birds" for hit in words) >= 4
assert answer.alike is False
assert len(index.search(text="a bird", k=5, min_score="auto")) == 5
assert mixed[0].id != "food/apple-red"
assert all(hit.attributes["price"] < 3 for hit in cheap) and len(cheap) == 5
""",
    "embedding_pipeline": """
assert sizes == [*[64] * 7, 11] and not failures
assert len(exact) == len(graph) == 459
assert recalls["exact"] >= 0.995  # float16 may swap two that are equal but for rounding
assert recalls["graph"] >= 0.95
""",
    "boards_and_feed": """
assert all(hit.why.evidence for hits in (related, ideas, first, second, after) for hit in hits)
assert not set(first.ids) & set(second.ids)
assert not {*of["birds"][:6], *of["tools"][:6]} & {*first.ids, *second.ids}
kind = {name: held for held, names in of.items() for name in names}
assert {"birds", "tools"} <= {kind[name] for name in first.ids}
assert undone == {each.id for each in unwanted.why.evidence}
assert not set(interests_of(index, "ada").pins) & set(of["tools"][:6])
assert all(not e.id.startswith("tools/") for hit in after for e in hit.why.evidence if hit.why.kind == "interest")
assert saves["feed"] > saves["popular"]
""",
    "learn_and_prove": """
assert np.abs(found - true).mean() < 0.1  # the places' chances
assert lesson.taught is not None and low > 0
assert preferred.low > 0.5  # sessions prefer the learnt one
assert kept_on.state is State.RUNNING and kept_on.ramp == 1.0
assert good[-1].lines[0].estimate.treatment > good[-1].lines[0].estimate.control
assert stopped.state is State.STOPPED and "saves_per_100 went from" in stopped.reason
""",
    "tune_and_measure": """
assert chosen.preset == "hnsw" and chosen.recall >= 0.95
assert measured >= 0.9
assert len(front) >= 2
assert quality[0] >= 0.9 and quality[0] > quality[-1]
""",
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_from_top_to_bottom_and_what_it_tells_is_so(path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code), "clear its outputs"
    notebook.cells.append(nbformat.v4.new_code_cell(CLAIMS[path.stem]))
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    pictures = sum("image/png" in out.get("data", {}) for cell in code for out in cell.outputs)
    assert pictures >= 2


def test_every_notebook_has_claims_that_are_checked() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(CLAIMS)
