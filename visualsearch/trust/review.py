"""The door to trust: scan, look at the queue, decide, undo, appeal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from visualsearch.errors import ConflictError, UnknownNameError, UsageError
from visualsearch.people import Appeal, Level, Ruling

from .domains import Resolve
from .findings import Limits
from .prevalence import Prevalence, prevalence
from .scan import Report, scan

if TYPE_CHECKING:
    from visualsearch.engine import Index

VERDICTS = ("fine", *(level.name.lower() for level in Level if level is not Level.NOTHING))
"""What a person may say of a case: it is fine, or what is to be done with it."""
LONGEST_APPEAL = 2000


class Trust:
    """Judges what people put up in an index, and keeps what people say of it.

    Every action is a verdict in the record that lies over the other rows. Nothing else changes: undoing it leaves all as it was.

    >>> import visualsearch as vs
    >>> from visualsearch.trust import Trust
    >>> trust = Trust(vs.open("pins.index"))          # doctest: +SKIP
    >>> trust.scan().made                             # doctest: +SKIP
    >>> [case.title for case in trust.queue()]        # doctest: +SKIP
    """

    def __init__(self, index: Index, limits: Limits | None = None) -> None:
        self.index, self.limits = index, limits or Limits()

    def scan(
        self,
        *,
        learn: bool = False,
        everything: bool = False,
        resolve: Resolve | None = None,
        read_pictures: bool = True,
    ) -> Report:
        """Judge what came since the last scan. `learn`: with models of what people said so far. `everything`: from the start.

        `resolve(address)` says where a shortened link leads; without it, that it is shortened counts alone.
        """
        return scan(
            self.index,
            limits=self.limits,
            learn=learn,
            resolve=resolve,
            everything=everything,
            read_pictures=read_pictures,
        )

    def queue(self, k: int = 50, *, ask: bool = False) -> list[Ruling]:
        """What waits for a person: appeals first, then clusters, the largest first. `ask`: the most telling case first."""
        held = self.index.people.rulings(("waiting",), appealed=True)
        if ask:
            held.sort(key=lambda case: (-self.telling(case, held), case.number))
        else:
            held.sort(key=lambda case: (not case.appeal, -_size(case), -case.score, case.number))
        return held[:k]

    def telling(self, case: Ruling, others: Sequence[Ruling] = ()) -> float:
        """How much a person's word on a case would teach, 0 to 1: most where the score is open and few like it were judged."""
        open_ = 1 - abs(2 * case.score - 1)
        signs = {str(each["signal"]) for each in case.evidence}
        decided = self.index.people.rulings(("decided",), k=200)
        alike = [len(signs & {str(e["signal"]) for e in d.evidence}) / max(1, len(signs)) for d in decided]
        seen = sum(part >= 0.8 for part in alike)
        return open_ / (1 + seen) + 1e-3 * min(1.0, _size(case) / 1000)

    def case(self, number: int) -> Ruling:
        """One verdict. Raises UnknownNameError."""
        return self.index.people.ruling(number)

    def decide(self, number: int, verdict: str, why: str = "") -> Ruling:
        """A person's word on a case: one of `VERDICTS`. Raises UnknownNameError."""
        if verdict not in VERDICTS:
            raise UnknownNameError("verdict", verdict[:40], VERDICTS)
        action = Level.NOTHING if verdict == "fine" else Level[verdict.upper()]
        return self.index.people.change_ruling(
            number, action, state="decided", by="person", spam=verdict != "fine", why=why[:LONGEST_APPEAL]
        )

    def undo(self, number: int, why: str = "") -> Ruling:
        """Let a verdict do nothing any more: saves, counts, boards and what is learnt next are as if it had never been.

        Raises UnknownNameError; ConflictError where it was undone already.
        """
        if self.case(number).state == "undone":
            raise ConflictError(f"verdict {number} cannot be undone", "it was undone already", "")
        return self.index.people.change_ruling(
            number, Level.NOTHING, state="undone", by="person", why=why[:LONGEST_APPEAL]
        )

    def reopen(self, number: int) -> Ruling:
        """Take a person's last word back: the case waits again, and does what it did before. Raises UnknownNameError.

        Raises ConflictError where nobody gave their word.
        """
        case = self.case(number)
        if case.state == "waiting" or len(case.history) < 2:
            raise ConflictError(f"verdict {number} cannot be reopened", "nobody decided it yet", "")
        before = Level[str(case.history[-2]["action"]).upper()]
        return self.index.people.change_ruling(number, before, state="waiting", by="person", spam=None)

    def appeal(self, number: int, person: str, text: str) -> Ruling:
        """Somebody's word against a verdict on them: it comes first in the queue.

        Raises UnknownNameError, UsageError; ConflictError where three appeals of theirs were decided, or one was granted.
        """
        said = " ".join(text.split())[:LONGEST_APPEAL]
        if not said:
            raise UsageError("cannot appeal", "the text is empty", "Say why the verdict is wrong")
        return self.index.people.appeal_ruling(number, person, said)

    def appeals(self, number: int) -> list[Appeal]:
        """What people say against a verdict, and what was decided of it. The verdict's history tells it without names."""
        return self.index.people.appeals(number)

    def answer(self, number: int, person: str, granted: bool, why: str = "") -> Ruling:
        """A person's word on an appeal. Where it is granted, the verdict lets its author go, with the pins that they put up, and
        goes on for the others; another answer takes that back. Raises UnknownNameError.

        A word on the whole case (`decide`, `undo`) answers every appeal that waits.
        """
        return self.index.people.answer_appeal(number, person, granted, why[:LONGEST_APPEAL])

    def about(self, person: str) -> list[Ruling]:
        """The verdicts that do something to a person now."""
        held = [case for case in self.index.people.rulings(about=person) if case.action > Level.NOTHING]
        outcomes = self.index.people.own_outcomes(person, [case.number for case in held])
        return [case for case in held if outcomes.get(case.number) != "granted"]

    def outcomes(self, person: str) -> dict[int, str]:
        """What became of a person's appeals, by verdict: waiting, granted or refused."""
        numbers = [case.number for case in self.index.people.rulings(about=person)]
        return self.index.people.own_outcomes(person, numbers)

    def prevalence(self) -> Prevalence:
        """The share of the last day's impressions that was spam."""
        return prevalence(self.index)


def _size(case: Ruling) -> int:
    return len(case.pins) + len(case.people)
