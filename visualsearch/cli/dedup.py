"""`visualsearch dedup`: find copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Folder, emit, note, open_index, plain, show_failures

if TYPE_CHECKING:
    from visualsearch.dedup import Group, Member


def dedup(
    folder: Folder,
    similar: Annotated[
        float | None,
        typer.Option(
            help="List pairs with at least this cosine that are no duplicates as well.", min=0.0, max=1.0
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page to review the groups on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find groups of pins that show the same picture, proved on their pixels.

    exact: the same bytes or pixels. near: the same picture saved anew, in another format, quality or size. edited: cropped,
    framed, mirrored, turned, without colour or brighter. covered: the same but for a small part. That is a text or logo laid on
    it, or a variant with another print: pixels cannot tell, so look yourself. Another colour of a product, or another
    photograph of it, is none of these. Only exact and near pins are proposed for removal.

    The first id of a group is the one to keep: the most pixels, then the largest file, then the oldest pin. Nothing is removed;
    the page of --html has a command for each group. Exit code 1 when some pictures could not be read: of those only the same
    bytes are found.

    Example: `visualsearch dedup pins.index --html review.html`
    """
    from visualsearch.dedup import write_review

    with open_index(folder) as opened:
        found = opened.dedup(similar, say=note)
    if as_json:
        emit([_values(group) for group in found.groups])
    else:
        for g in found.groups:
            print(f"{g.likeness.value}\t{g.score:.3f}\t{'  '.join(plain(i) for i in g.ids)}")
    if html is not None:
        note(f"the page: {write_review(html, found.groups, str(folder))}")
    spare = sum(len(g.remove) for g in found.groups)
    note(f"{len(found.groups):,} groups, {spare:,} pins of which a better copy is kept")
    if found.failures:
        note(f"{len(found.failures):,} pictures could not be read; of those only the same bytes are found:")
        show_failures(found.failures, len(found.failures))
        raise typer.Exit(1)


def _values(group: Group) -> dict[str, Any]:
    return {
        "likeness": group.likeness.value,
        "ids": list(group.ids),
        "uris": list(group.uris),
        "score": round(group.score, 4),
        "keep": group.ids[0],
        "remove": list(group.remove),
        "members": [_member(member) for member in group.members],
    }


def _member(member: Member) -> dict[str, Any]:
    """A pin of a group: its class, the pin it was compared with, and what the pixels proved."""
    proof = member.evidence
    return {
        "id": member.id,
        "class": member.likeness.value if member.likeness else "original",
        "of": member.of,
        "keep": member.keep,
        "width": member.width,
        "height": member.height,
        "bytes": member.bytes,
        "evidence": proof
        and {
            "edits": [edit.value for edit in proof.edits],
            "agree": round(proof.agree, 4),
            "difference": round(proof.difference, 2),
            "box": [round(edge, 4) for edge in proof.box],
        },
    }


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(dedup)
