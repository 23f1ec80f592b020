"""The review page: each group side by side, what was proved of each picture, and the command that keeps the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from visualsearch.pages import Loader, Section, command_line, write_page
from visualsearch.types import WHOLE, Hit, Hits, Part

from .groups import Group, Likeness, Member

TITLES = {
    Likeness.EXACT: "Copies",
    Likeness.NEAR: "The same picture saved anew",
    Likeness.EDITED: "The same picture, edited",
    Likeness.COVERED: "The same picture but for a text, a logo or another print",
    Likeness.SIMILAR: "Similar pictures, no duplicates",
}
FACTS = ("likeness", "evidence", "size", "advice")


def write_review(
    path: str | Path, groups: Sequence[Group], folder: str, picture: Loader | None = None
) -> Path:
    """Write the groups as one HTML page that stands alone; nothing is removed by it. Raises StorageError."""
    sections = [_section(number, group, folder) for number, group in enumerate(groups, 1)]
    spare = sum(len(group.remove) for group in groups)
    lead = (
        f"{len(groups):,} groups. The picture to keep is on the left. {spare:,} pictures are copies, or were saved anew,"
        " of one that is kept. Edited pictures, and those with a text or another print, are not proposed for removal."
        " Nothing was removed: run the command of a group to remove its copies."
    )
    return write_page(path, sections, title="Near duplicates", lead=lead, facts=FACTS, picture=picture)


def told(member: Member) -> str:
    """How a member was found to belong to its group, in words."""
    if member.likeness is None:
        return "the best of its group"
    proof = member.evidence
    if proof is None:
        same = "the same bytes" if member.likeness is Likeness.EXACT else "close vectors"
        return (
            f"{same} as {member.of}" if member.likeness is Likeness.EXACT else f"{same}, no proof of a copy"
        )
    if member.likeness is Likeness.EXACT:
        return f"the same pixels as {member.of}"
    done = " + ".join(edit.value for edit in proof.edits) or "saved anew"
    return f"{done}: {100 * proof.agree:.0f} % of the blocks agree with {member.of}, to {proof.difference:.1f} levels"


def _section(number: int, group: Group, folder: str) -> Section:
    best = group.members[0]
    hits = Hits(tuple(_hit(m, group.score) for m in group.members[1:]), len(group.members) - 1, "")
    command = command_line(["visualsearch", "remove", folder, *group.remove]) if group.remove else ""
    note = f"{len(group.members)} pictures. Keep {best.id} ({_size(best)})."
    part = Part(like=best.id)
    return Section(
        f"{number}. {TITLES[group.likeness]}",
        note,
        command,
        (part,),
        None,
        hits,
        {best.id: best.uri},
        label="Keep",
    )


def _hit(member: Member, score: float) -> Hit:
    advice = "keep: it differs from the others" if member.keep else "may go: a better copy is kept"
    facts = {
        "likeness": member.likeness.value if member.likeness else "",
        "evidence": told(member),
        "size": _size(member),
        "advice": advice,
    }
    return Hit(member.id, member.uri, score, WHOLE, facts)


def _size(member: Member) -> str:
    if not member.width:
        return "could not be read"
    return f"{member.width} x {member.height}, {member.bytes / 1000:,.0f} kB"
