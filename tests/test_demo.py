"""The demo: what its page shows is what the commands on it give, and running it again does no work twice."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from visualsearch import open as open_index
from visualsearch import samples
from visualsearch.cli import app
from visualsearch.cli.demo import EXAMPLES, Made, make
from visualsearch.errors import StorageError
from visualsearch.trust import Trust
from visualsearch.types import Float32

from .fakes import FakeEncoder

MIAS = ("Summer holiday", "Floors and walls", "Flower shop")


class Page(HTMLParser):
    """The command and the ids of the results of every section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[tuple[list[str], list[str]]] = []
        self.field = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "section":
            self.sections.append(([], []))
        self.field = "command" if values.get("aria-label") == "Command line" else values.get("class") or ""

    def handle_data(self, data: str) -> None:
        if self.field == "command":
            self.sections[-1][0].extend(shlex.split(data))
        elif self.field == "id":
            self.sections[-1][1].append(data)
        self.field = ""


def sections(made: Made) -> dict[str, tuple[list[str], list[str]]]:
    """Title -> command and ids."""
    found = Page(made.page.read_text(encoding="utf-8")).sections
    return dict(zip((example.title for example in EXAMPLES), found, strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("demo") / "it's here")


def run(*words: str) -> Any:
    return CliRunner().invoke(app, words, catch_exceptions=False)


def test_every_sample_pin_is_indexed(made: Made) -> None:
    assert (made.page.name, made.page.parent.name) == ("index.html", "it's here")
    assert made.report.failures == ()
    assert made.pins == made.report.embedded == len(samples.manifest().read_text().splitlines()) - 1


def test_the_commands_shown_give_the_results_shown(made: Made) -> None:
    for title, (command, ids) in sections(made).items():
        assert command[:2] == ["visualsearch", "search"], title
        if not ids:
            continue
        result = run(*command[1:], "--json")
        assert result.exit_code == 0, title
        assert [hit["id"] for hit in json.loads(result.stdout)["hits"]] == ids, title


def test_the_results_are_what_the_page_promises(made: Made) -> None:
    ids = {title: found for title, (_, found) in sections(made).items()}
    with open_index(made.page.parent / "pins.index") as index:
        filtered = index.search(like="food/tomato", where="category = 'food' and price < 3", k=10)
    assert ids["A whole picture"][0] == "plants/daffodil"
    assert sum(pin.startswith("plants/") for pin in ids["A whole picture"]) >= 8
    assert ids["Part of a picture"][0] == "tools/hammer"
    away = ids["More like this, not like that"]
    with open_index(made.page.parent / "pins.index") as index:
        assert "food/apple-red" in index.search(like="food/pomegranate", k=3).ids  # without the push
    assert len(away) == 5
    assert not any("apple" in pin for pin in away)
    assert {"food/tomato", "food/strawberry"} <= set(away)
    assert ids["With a filter"] == filtered.ids
    assert {hit.attributes["category"] for hit in filtered} == {"food"}
    assert max(hit.attributes["price"] for hit in filtered) < 3


def test_words_are_searched_or_said_to_be_impossible(made: Made) -> None:
    with open_index(made.page.parent / "pins.index") as index:
        reads = index.spec.text
    found = sections(made)["Words"][1]
    assert bool(found) == reads
    with open_index(made.page.parent / "pins.index") as index:
        kinds = [hit.attributes["kind"] for hit in index.search(text="a bird", k=10)] if reads else []
    assert sum(kind == "birds" for kind in kinds) >= (7 if reads else 0)
    assert [reason.split(":")[0] for reason in made.absent] == ([] if reads else ["Words"])
    assert ("This query was not run." in made.page.read_text(encoding="utf-8")) == (not reads)


def test_an_encoder_that_reads_words_gets_the_words_run(tmp_path: Path) -> None:
    class Reader(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Float32:
            return super().encode_texts(["red" if "bird" in text else "white" for text in texts])

    made = make(tmp_path, Reader())
    assert made.absent == ()
    with open_index(tmp_path / "pins.index", Reader()) as index:
        assert sections(made)["Words"][1] == index.search(text="a bird", k=10).ids


def test_running_it_again_embeds_nothing_and_says_where_the_page_is(made: Made) -> None:
    before = sections(made)
    result = run("demo", "--to", str(made.page.parent))
    assert result.exit_code == 0
    assert result.stdout == f"{made.page}\n{made.people}\n"
    assert f"all {made.pins} pins were indexed already" in result.stderr
    assert sections(made) == before


def test_a_person_s_page_shows_boards_ideas_and_a_feed_with_reasons(made: Made) -> None:
    found = Page(made.people.read_text(encoding="utf-8")).sections
    assert len(found) == 4
    with open_index(made.page.parent / "pins.index") as index:
        saves = {title: {s.pin for s in index.people.pins_of(title, viewer="mia")} for title in MIAS}
        before = index.people.save_counts(["plants/daffodil"])
    for (command, ids), title in zip(found, [*MIAS, "feed"], strict=True):
        result = run(*command[1:], "--json")
        assert result.exit_code == 0, title
        assert [hit["id"] for hit in json.loads(result.stdout)["hits"]] == ids, title
        assert len(ids) == (20 if title == "feed" else 8)
        assert not set(ids) & saves.get(title, set())
    page = made.people.read_text(encoding="utf-8")
    assert page.count('class="why"') == sum(len(ids) for _, ids in found)
    assert "Saved together" in page
    assert run("demo", "--to", str(made.page.parent)).exit_code == 0
    with open_index(made.page.parent / "pins.index") as index:
        assert index.people.save_counts(["plants/daffodil"]) == before


def test_the_people_of_the_demo_are_no_ring(made: Made) -> None:
    with open_index(made.page.parent / "pins.index") as index:
        found = Trust(index).scan()
        assert (found.judged > 0, found.made) == (True, [])


def test_a_place_that_is_a_file_is_refused_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        make(tmp_path / "file")


def test_the_boxes_of_the_scenes_find_the_pins_that_were_put_there(made: Made) -> None:
    """Two cars of a kind may change places; the pin that was placed is never far."""
    ranks = []
    with open_index(made.page.parent / "pins.index") as index:
        for scene in samples.scenes():
            for item in scene.objects:
                found = index.search(image=scene.image, crop=item.box, k=5).ids
                ranks.append(found.index(item.pin) if item.pin in found else 5)
    assert len(ranks) == 36
    assert sum(rank == 0 for rank in ranks) >= 30
    assert sum(rank < 5 for rank in ranks) >= 35


def test_search_writes_a_page_that_shows_the_pins_it_was_asked_for(made: Made, tmp_path: Path) -> None:
    folder, page = str(made.page.parent / "pins.index"), tmp_path / "found.html"
    result = run("search", folder, "--like", "animals/duck", "--unlike", "animals/horse", "--html", str(page))
    assert result.exit_code == 0
    text = page.read_text(encoding="utf-8")
    for pin in ("animals/duck", "animals/horse"):
        assert f'role="img" aria-label="pin {pin}"' in text
    assert "No picture" not in text
