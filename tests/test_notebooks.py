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
"""
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
