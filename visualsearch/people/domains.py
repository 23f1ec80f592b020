"""Who speaks for a domain: a merchant claims it, proves it, and one merchant at most holds it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from visualsearch.errors import ConflictError, UnknownNameError, UsageError

from .persons import Base, check_key
from .schema import domains

NAME = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,10}")
TOKEN_PREFIX = "visualsearch-site="
WAYS = ("file", "dns")


class Claim(NamedTuple):
    """A merchant's claim to a domain. `token` must be found there; `verified` is when it was (ms), or None."""

    domain: str
    merchant: str
    token: str
    way: str
    at: int
    verified: int | None

    @property
    def proof(self) -> str:
        """The text of the file, or of the DNS record."""
        return f"{TOKEN_PREFIX}{self.token}"


def domain_name(text: str) -> str:
    """A domain in one form: lower case, without `www.`, as ASCII. Raises UsageError."""
    try:
        name = text.strip().rstrip(".").encode("idna").decode("ascii").lower().removeprefix("www.")
    except UnicodeError:
        name = ""
    if len(name) > 253 or NAME.fullmatch(name) is None:
        raise UsageError(
            f"{text[:80]!r} is no domain", "it must be a name with a dot", "Write it as shop.example"
        )
    return name


class Domains(Base):
    """Keeps claims of domains."""

    def claim_domain(self, merchant: str, domain: str, way: str = "file") -> Claim:
        """Begin a claim, or give the one that was begun. `way` is file or dns. Raises ConflictError where another holds it."""
        name, who = domain_name(domain), check_key(merchant)
        if way not in WAYS:
            raise UnknownNameError("way to prove a domain", way, WAYS)

        def work(db: Connection) -> Claim:
            held = _held(db, name)
            if held is not None and held.merchant != who:
                raise _taken(name)
            mine = select(domains).where(domains.c.domain == name, domains.c.merchant == who)
            row = db.execute(mine).first()
            if row is not None and (row.way == way or row.verified is not None):
                return Claim(*row)
            made = Claim(name, who, secrets.token_hex(16), way, self.now(), None)
            self.store.upsert(db, domains, made._asdict())
            return made

        claim: Claim = self.store.write(work)
        return claim

    def verify_domain(self, merchant: str, domain: str, found: Callable[[Claim], Sequence[str]]) -> Claim:
        """Prove a claim: `found(claim)` gives the texts that stand at the domain now.

        Raises UnknownNameError without a claim, UsageError where the proof is not there, ConflictError where another was first.
        """
        name, who = domain_name(domain), check_key(merchant)
        mine = select(domains).where(domains.c.domain == name, domains.c.merchant == who)
        with self.store.read() as db:
            row = db.execute(mine).first()
        if row is None:
            raise UnknownNameError("claim", name, [], "Claim the domain first")
        claim = Claim(*row)
        if claim.proof not in [text.strip() for text in found(claim)]:
            raise UsageError(
                f"{name} is not proved",
                f"the {'file' if claim.way == 'file' else 'DNS record'} does not say {claim.proof}",
                "Put it there, then try again",
            )

        def work(db: Connection) -> Claim:
            held = _held(db, name)
            if held is not None and held.merchant != who:
                raise _taken(name)
            done = claim._replace(verified=self.now())
            self.store.upsert(db, domains, done._asdict())
            return done

        proved: Claim = self.store.write(work)
        return proved

    def domain_claims(self, merchant: str | None = None) -> list[Claim]:
        """All claims, or those of a merchant, by domain."""
        chosen = select(domains).order_by(domains.c.domain, domains.c.merchant)
        if merchant is not None:
            chosen = chosen.where(domains.c.merchant == merchant)
        with self.store.read() as db:
            return [Claim(*row) for row in db.execute(chosen)]

    def drop_domain(self, merchant: str, domain: str) -> bool:
        """Give a claim up; whether there was one."""
        name = domain_name(domain)
        mine = (domains.c.domain == name) & (domains.c.merchant == merchant)
        return bool(self.store.write(lambda db: db.execute(delete(domains).where(mine)).rowcount))


def _held(db: Connection, name: str) -> Claim | None:
    row = db.execute(select(domains).where(domains.c.domain == name, domains.c.verified.is_not(None))).first()
    return None if row is None else Claim(*row)


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"cannot claim {name}",
        "another merchant has proved that it is theirs",
        "Ask them to give it up, or ask the server's owner",
    )
