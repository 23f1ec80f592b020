"""Follows, comments, connections brought from elsewhere, and the sites on which people save."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from visualsearch.errors import ForbiddenError, UnknownNameError, UsageError

from .boards import named, visible
from .events import deed
from .model import Comment, CommentState, Follow, pseudonym_number, pseudonym_text
from .persons import Base, Known, find, one, storing
from .schema import boards, comments, connections, follows, mentions, people, reports, sites
from .store import Store
from .words import blank, folded, line, plain

FOLLOWED = ("person", "board", "topic")
LONGEST_COMMENT = 2000
MENTION = re.compile(r"(?<![\w@])@([\w.@+\-]{1,200})")
_TAIL = ".-@+"


def host(site: str | None) -> str | None:
    """The host of an address, in lower case and without `www.`; it is all that is kept of a site. None where there is none."""
    if not site or not site.strip():
        return None
    text = site.strip()
    try:
        name = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return None
    return name.removeprefix("www.")[:253] or None


def visited(db: Connection, store: Store, known: Known, site: str | None, now: int) -> str | None:
    """Count a visit with the save button, if the person allows it; the host as it is kept."""
    name = host(site)
    if name is None or store.quiet or not known.consent.sites:
        return None
    again = update(sites).where(sites.c.person == known.number, sites.c.site == name)
    if not db.execute(again.values(visits=sites.c.visits + 1, at=now)).rowcount:
        store.insert(db, sites, [(known.number, name, 1, now)])
    return name


class Social(Base):
    """What people say and whom they follow."""

    def follow(self, person: str, kind: str, target: str) -> bool:
        """Follow a person, a board or a topic. False where they did already. Raises UnknownNameError, ConsentError."""
        new: bool = self.store.write(self.following(person, kind, target))
        return new

    def following(self, person: str, kind: str, target: str) -> Callable[[Connection], bool]:
        """The work of `follow`, for the writing thread; its result says whether the follow is new."""

        def work(db: Connection) -> bool:
            now = self.now()
            known = storing(db, self.store, person, now)
            name = self._target(db, known.number, kind, target)
            same = select(follows.c.at).where(
                follows.c.person == known.number, follows.c.kind == kind, follows.c.target == name
            )
            if db.execute(same).first() is not None:
                return False
            db.execute(insert(follows).values(person=known.number, kind=kind, target=name, at=now))
            deed(db, self.store, known, "follow", now, None, board=name if kind == "board" else None)
            return True

        return work

    def unfollow(self, person: str, kind: str, target: str) -> bool:
        """End a follow; whether there was one."""

        def work(db: Connection) -> bool:
            known = one(db, person)
            name = self._target(db, known.number, kind, target)
            ended = delete(follows).where(
                follows.c.person == known.number, follows.c.kind == kind, follows.c.target == name
            )
            if not db.execute(ended).rowcount:
                return False
            board = name if kind == "board" else None
            deed(db, self.store, known, "unfollow", self.now(), None, board=board)
            return True

        ended: bool = self.store.write(work)
        return ended

    def follows(self, person: str) -> list[tuple[str, str]]:
        """What a person follows: pairs of kind and name, the newest first. Persons are named by pseudonym."""
        return [(each.kind, each.target) for each in self.followed(person)]

    def followed(
        self, person: str, *, k: int | None = None, after: tuple[int, str, str] | None = None
    ) -> list[Follow]:
        """What a person follows, the newest first; `after` is when, kind and target of the last one of the page before.

        Boards that became secret since are left out.
        """
        with self.store.read() as db:
            number = one(db, person).number
            seen = exists().where(boards.c.board == follows.c.target, visible(number))
            chosen = select(follows).where(follows.c.person == number, (follows.c.kind != "board") | seen)
            if after is not None:
                at, kind, target = after
                later = (follows.c.kind > kind) | ((follows.c.kind == kind) & (follows.c.target > target))
                chosen = chosen.where((follows.c.at < at) | ((follows.c.at == at) & later))
            ordered = chosen.order_by(follows.c.at.desc(), follows.c.kind, follows.c.target).limit(k)
            return [Follow(row.kind, row.target, row.at) for row in db.execute(ordered)]

    def followers(self, kind: str, target: str, *, viewer: str | None = None) -> int:
        """How many follow a person, a board or a topic."""
        with self.store.read() as db:
            asking = None if viewer is None else one(db, viewer).number
            name = self._target(db, asking, kind, target)
            counted = (
                select(func.count())
                .select_from(follows)
                .where(follows.c.kind == kind, follows.c.target == name)
            )
            return int(db.execute(counted).scalar_one())

    def _target(self, db: Connection, asking: int | None, kind: str, target: str) -> str:
        if kind == "person":
            return pseudonym_text(one(db, target).number)
        if kind == "board":
            return str(named(db, target, asking).board)
        if kind == "topic":
            return folded(line(target, "topic", 200))
        raise UnknownNameError("kind of follow", kind, FOLLOWED)

    def connect(self, person: str, network: str, names: Sequence[str]) -> int:
        """Keep whom a person is connected with on another network, by the names of that network. How many are kept."""
        kept = [
            (line(network, "network", 100).lower(), line(name, "name", 200)) for name in dict.fromkeys(names)
        ]

        def work(db: Connection) -> int:
            now = self.now()
            number = storing(db, self.store, person, now).number
            self.store.insert(db, connections, [(number, *each, now) for each in kept])
            return len(kept)

        count: int = self.store.write(work)
        return count

    def connections(self, person: str) -> list[tuple[str, str]]:
        """A person's connections on other networks: pairs of network and name."""
        with self.store.read() as db:
            chosen = select(connections).where(connections.c.person == one(db, person).number)
            ordered = chosen.order_by(connections.c.network, connections.c.name)
            return [(row.network, row.name) for row in db.execute(ordered)]

    # -- comments --------------------------------------------------------------------------------------------------
    def comment(
        self, person: str, pin: str, text: str, *, held: bool = False, by_key: bool = True
    ) -> Comment:
        """Say something about a pin; `@key` mentions a known person. `held` keeps it from others until `moderate` shows it.

        Without `by_key` only `@pseudonym` does, so that nobody learns which pseudonym belongs to a key.

        Raises UsageError for an empty text or one above 2,000 characters, UnknownNameError, ConsentError.
        """
        said = plain(text, "comment", LONGEST_COMMENT).strip()
        if blank(said):
            raise UsageError("the comment is empty", "it has no visible character", "Write something")
        ref = self.pins.find([pin]).get(pin)
        if ref is None:
            raise UnknownNameError("pin", pin[:200], [], "Search first to learn the ids")
        state = CommentState.HELD if held else CommentState.SHOWN

        def work(db: Connection) -> Comment:
            now = self.now()
            number = storing(db, self.store, person, now).number
            values = {"person": number, "pin": ref.number, "pin_id": ref.id, "text": said, "at": now}
            made = insert(comments).values(**values, state=state.value).returning(comments.c.comment)
            comment = int(db.execute(made).scalar_one())
            words = {word.rstrip(_TAIL) for word in MENTION.findall(said)}
            named = find(db, words if by_key else {word for word in words if pseudonym_number(word)})
            self.store.insert(db, mentions, [(comment, each.number) for each in named.values()])
            # Read here: a moment later its writer may be forgotten.
            return _comments(db, db.execute(select(comments).where(comments.c.comment == comment)).all())[0]

        written: Comment = self.store.write(work)
        return written

    def comments(self, pin: str, *, viewer: str | None = None, k: int = 100, after: int = 0) -> list[Comment]:
        """The comments on a pin, oldest first: those shown or reported, and the viewer's own that are held."""
        with self.store.read() as db:
            number = None if viewer is None else getattr(find(db, [viewer]).get(viewer), "number", None)
            shown = comments.c.state.in_([CommentState.SHOWN.value, CommentState.REPORTED.value])
            own = (comments.c.person == number) & (comments.c.state == CommentState.HELD.value)
            chosen = select(comments).where(comments.c.pin_id == pin, shown | own, comments.c.comment > after)
            return _comments(db, db.execute(chosen.order_by(comments.c.comment).limit(k)).all())

    def report_comment(self, person: str, comment: int, reason: str = "") -> None:
        """Tell that a comment should not be there. It stays visible until it is moderated. Raises UnknownNameError."""
        why = plain(reason, "reason", LONGEST_COMMENT)

        def work(db: Connection) -> None:
            now = self.now()
            number = storing(db, self.store, person, now).number
            _comment(db, comment)
            self.store.insert(db, reports, [(comment, number, why, now)])
            shown = (comments.c.comment == comment) & (comments.c.state == CommentState.SHOWN.value)
            db.execute(update(comments).where(shown).values(state=CommentState.REPORTED.value))

        self.store.write(work)

    def delete_comment(self, person: str, comment: int) -> None:
        """Take one's own comment back; its text is gone. Raises ForbiddenError, UnknownNameError."""

        def work(db: Connection) -> None:
            number, row = one(db, person).number, _comment(db, comment)
            if row.person != number:
                raise ForbiddenError(
                    "cannot delete the comment", "somebody else wrote it", "Report it instead"
                )
            emptied = update(comments).where(comments.c.comment == comment)
            db.execute(emptied.values(state=CommentState.DELETED.value, text=""))
            db.execute(delete(mentions).where(mentions.c.comment == comment))

        self.store.write(work)

    def moderate(self, comment: int, state: CommentState | str) -> None:
        """Show, hold or delete a comment: for moderators."""
        chosen = CommentState(state)
        values: dict[str, Any] = {"state": chosen.value}
        if chosen == CommentState.DELETED:
            values["text"] = ""

        def work(db: Connection) -> None:
            _comment(db, comment)
            db.execute(update(comments).where(comments.c.comment == comment).values(**values))

        self.store.write(work)


def _comment(db: Connection, number: int) -> Any:
    row = db.execute(select(comments).where(comments.c.comment == number)).first()
    if row is None or row.state == CommentState.DELETED:
        raise UnknownNameError("comment", str(number), [], "It may have been deleted")
    return row


def _comments(db: Connection, rows: Sequence[Any]) -> list[Comment]:
    named: dict[int, list[str]] = {}
    for row in db.execute(select(mentions).where(mentions.c.comment.in_([r.comment for r in rows]))):
        named.setdefault(row.comment, []).append(pseudonym_text(row.person))
    return [
        Comment(
            row.comment,
            row.pin_id,
            pseudonym_text(row.person),
            row.text,
            row.at,
            CommentState(row.state),
            tuple(sorted(named.get(row.comment, ()))),
        )
        for row in rows
    ]


def unmention(db: Connection, number: int) -> int:
    """Take a person's name out of what others wrote. How many comments named them."""
    key = db.execute(select(people.c.key).where(people.c.person == number)).scalar()
    names = {f"@{key}", f"@{pseudonym_text(number)}"}
    chosen = select(comments).join(mentions, mentions.c.comment == comments.c.comment)
    rows = db.execute(chosen.where(mentions.c.person == number)).all()
    for row in rows:
        text = MENTION.sub(
            lambda found: (
                "@-" + found[0][len(name) :]
                if (name := next((n for n in names if found[0].rstrip(_TAIL) == n), ""))
                else found[0]
            ),
            row.text,
        )
        db.execute(update(comments).where(comments.c.comment == row.comment).values(text=text))
    return len(rows)
