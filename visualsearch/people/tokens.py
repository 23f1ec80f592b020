"""Tokens with which persons speak for themselves: random, kept as hashes only, gone with the person."""

from __future__ import annotations

import secrets
from hashlib import sha256

from sqlalchemy import Connection, delete, select

from visualsearch.errors import UsageError

from .model import DAY_MS, TOKEN, pseudonym_text
from .persons import check_key, need, one
from .privacy import Privacy
from .schema import tokens


def digest_of(token: str) -> str:
    """The SHA-256 (hex) of a token: 32 random bytes leave nothing to guess from it."""
    return sha256(token.encode("utf-8", "replace")).hexdigest()


class Tokens(Privacy):
    """Issue, look up and revoke tokens."""

    def issue_token(self, person: str, *, days: float | None = None) -> str:
        """A new token of a person, made known if new. It is shown this once. `days`: it ends after so many."""
        if days is not None and days <= 0:
            raise UsageError("the token would have ended", f"{days:g} days were asked for", "Give more days")
        token = TOKEN + secrets.token_urlsafe(32)

        def work(db: Connection) -> None:
            now = self.now()
            number = need(db, self.store, [check_key(person)], now)[person].number
            ends = None if days is None else now + round(days * DAY_MS)
            self.store.insert(db, tokens, [(digest_of(token), number, now, ends)])

        self.store.write(work)
        return token

    def token_holder(self, digest: str) -> str | None:
        """The pseudonym of the person whose token has that SHA-256; None where it was revoked, has ended or never was."""
        with self.store.read() as db:
            row = db.execute(
                select(tokens.c.person, tokens.c.expires).where(tokens.c.digest == digest)
            ).first()
        if row is None or (row.expires is not None and row.expires <= self.now()):
            return None
        return pseudonym_text(row.person)

    def revoke_tokens(self, person: str) -> int:
        """End all tokens of a person at once; how many. Raises UnknownNameError."""

        def work(db: Connection) -> int:
            return db.execute(delete(tokens).where(tokens.c.person == one(db, person).number)).rowcount

        revoked: int = self.store.write(work)
        return revoked
