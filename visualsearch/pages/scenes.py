"""The page of a look: the scene with its objects boxed and clickable, then what was found for each."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from markupsafe import Markup

from visualsearch import images
from visualsearch.look import Look, LookObject
from visualsearch.types import MAX_PIXELS, Part

from .results import Section, write_page
from .templates import template
from .tiles import Loader, jpeg

SCENE = 1400  # pixels, the longer side of the scene on the page
PIN = 13.0  # radius of a number's disc, in thousandths of the scene's longer side


def write_look(
    path: str | Path,
    scene: Any,
    look: Look,
    *,
    command: str = "",
    title: str = "Shop the look",
    where: str | None = None,
    picture: Loader | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Path:
    """Write what `Index.look` found in `scene` as one self-contained HTML page; every box leads to its results.

    `scene` is what was looked at, `command` the command line that gives the same. `picture` and
    `max_pixels` as for `visualsearch.pages.results.write_page`, whose errors it raises.
    """
    whole = images.load(scene, max_pixels=max_pixels)
    sections = [
        Section(
            f"{number}. {_name(one)}",
            _sure(one, look.found),
            command if number == 1 else "",
            (Part(image=whole, crop=one.box if look.found else None),),
            where,
            one.hits,
        )
        for number, one in enumerate(look, 1)
    ]
    if look.goes_with is not None:
        sections.append(
            Section(
                "Goes with it",
                "Pins of other categories: those that share a board with what was found come first, then those that are"
                " nearest in colour and texture. A first version: it knows nothing of taste, season or fit.",
                "",
                (Part(image=whole),),
                where,
                look.goes_with,
            )
        )
    many = f"{len(look)} object{'s' if len(look) != 1 else ''}. Choose one to jump to its results."
    lead = many if look.found else "No object was found: the whole picture was searched."
    return write_page(
        path,
        sections,
        title=title,
        lead=lead,
        footnote=" ".join(look.notes),
        picture=picture,
        hero=_hero(whole, look),
        max_pixels=max_pixels,
    )


def _name(one: LookObject) -> str:
    return (one.label or "Object").capitalize()


def _sure(one: LookObject, found: bool) -> str:
    if not found:
        return ""
    said = {
        "votes": f"named by its neighbours ({one.label_score:.0%} of their votes)",
        "words": f"the nearest of the known words (cosine {one.label_score:.2f})",
    }
    parts = [f"Objectness {one.score:.2f}", *([said[one.label_from]] if one.label_from in said else [])]
    return ", ".join(parts) + "."


def _hero(picture: Any, look: Look) -> Markup:
    """The scene as an SVG whose boxes are links to the sections; small boxes lie on top, so that all can be reached."""
    data, small = jpeg(picture, SCENE, 86)
    width, height = small.size
    radius = max(width, height) / 1000 * PIN
    numbered = list(enumerate(look, 1)) if look.found else []
    numbered.sort(key=lambda entry: -_area(entry[1]))
    return Markup(
        template("scene.html").render(
            width=width,
            height=height,
            data=base64.b64encode(data).decode(),
            spots=[_spot(number, one, width, height, radius) for number, one in numbered],
            radius=f"{radius:.1f}",
            round=f"{radius / 2:.1f}",
            letters=f"{radius * 1.25:.1f}",
        )
    )


def _spot(number: int, one: LookObject, width: int, height: int, radius: float) -> dict[str, Any]:
    x, y = one.box.x0 * width, one.box.y0 * height
    places = {
        "x": x,
        "y": y,
        "w": (one.box.x1 - one.box.x0) * width,
        "h": (one.box.y1 - one.box.y0) * height,
        "cx": min(max(x + radius * 0.2, radius * 1.15), width - radius * 1.15),
        "cy": min(max(y + radius * 0.2, radius * 1.15), height - radius * 1.15),
    }
    return {"number": number, "name": _name(one), **{key: f"{value:.1f}" for key, value in places.items()}}


def _area(one: LookObject) -> float:
    return (one.box.x1 - one.box.x0) * (one.box.y1 - one.box.y0)
