"""Hits, pins and looks as they are sent: places on the server stay its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from visualsearch.fetch import shown
from visualsearch.look import Look
from visualsearch.store import Pin
from visualsearch.types import Hit, Hits, Reason

from .schemas import (
    EvidenceOut,
    HitOut,
    LookOut,
    ObjectOut,
    PinOut,
    RankedHitOut,
    ReasonedHit,
    ReasonOut,
)
from .sizes import size_at


def hit_out(hit: Hit) -> HitOut:
    """A hit as it is sent; where a ranker ordered it, with what it was ordered by."""
    width, height = size_at(hit.uri) or (None, None)
    plain = HitOut(
        id=hit.id,
        score=hit.score,
        box=list(hit.box),
        attributes=dict(hit.attributes),
        uri=_public(hit.uri),
        picture=picture_url(hit.id),
        promoted=hit.promoted,
        placement=hit.placement,
        width=width,
        height=height,
    )
    if hit.why is not None and (hit.promoted is not None or hit.rank_score is not None):
        plain.why = reason_out(hit.why)
    if hit.rank_score is None:
        return plain
    return RankedHitOut(**dict(plain), rank_score=hit.rank_score, signals=dict(hit.signals))


def reasoned(hits: Hits) -> list[ReasonedHit]:
    """Recommended pins as they are sent, each with its reason."""
    return [
        ReasonedHit.model_validate({**_ranks(hit), **hit_out(hit).model_dump()})
        for hit in hits
        if hit.why is not None
    ]


def _ranks(hit: Hit) -> dict[str, Any]:
    """What a promoted pin says where others say what they were ordered by: its cosine."""
    return {"rank_score": hit.score, "signals": {}} if hit.promoted is not None else {}


def reason_out(why: Reason) -> ReasonOut:
    """A reason as it is sent."""
    evidence = [EvidenceOut(kind=each.kind, id=each.id, weight=each.weight) for each in why.evidence]
    return ReasonOut(kind=why.kind, sentence=why.sentence, evidence=evidence)


def look_out(found: Look, upload: str | None) -> LookOut:
    """What looking found, as it is sent."""
    width, height = found.size
    return LookOut(
        objects=[
            ObjectOut(
                box=list(one.box),
                score=one.score,
                label=one.label,
                label_from=one.label_from,
                hits=[hit_out(hit) for hit in one.hits],
            )
            for one in found
        ],
        found=found.found,
        notes=list(found.notes),
        width=width,
        height=height,
        seconds={stage: round(seconds, 5) for stage, seconds in found.seconds.items()},
        upload=upload,
    )


def pin_out(pin: Pin) -> PinOut:
    """A pin as it is sent."""
    width, height = size_at(pin.uri) or (None, None)
    return PinOut(
        id=pin.id,
        attributes=pin.attributes,
        uri=_public(pin.uri),
        picture=picture_url(pin.id),
        hash=pin.hash.hex() if pin.hash else None,
        width=width,
        height=height,
    )


def picture_url(name: str) -> str:
    """Where a pin's picture is served."""
    return f"/pins/{quote(name, safe='')}/picture"


def _public(uri: str) -> str | None:
    """A web address without what it keeps secret; a place on the server is nobody's business."""
    return shown(uri) if is_web(uri) else None


def is_web(image: str) -> bool:
    """Whether that is a web address."""
    return image.lower().startswith(("http://", "https://"))
