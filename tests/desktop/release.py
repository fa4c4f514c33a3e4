"""In what the releases of the desktop node differ: what is hashed, held, checked and let go."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    GRANT = 0
    REQUEST = 1
    RELEASE = 2
    PAYMENT = 3
    DISTRIBUTION = 4


@dataclass(frozen=True)
class Release:
    name: str
    kinds: frozenset[Kind]
    # Keys of a transaction that are hashed and signed where they are there; dropped otherwise.
    extras: tuple[str, ...] = ()
    # What may stand in the place of a signature.
    words: frozenset[str] = frozenset()
    # An item is held by a request of this amount or more.
    hold_amount: int = 0
    checks_work: bool = False
    checks_times: bool = False
    line_max: int | None = None
    peers_max: int | None = None


RELEASES = {
    release.name: release
    for release in (
        Release("0.0.1", frozenset({Kind.REQUEST, Kind.RELEASE})),
        Release(
            "0.0.3",
            frozenset(Kind),
            extras=("amount", "recipient", "accepted_offer"),
            words=frozenset({"COINBASE", "GENESIS", "BUYOUT_PAYMENT", "ESCROW_DISTRIBUTION"}),
            hold_amount=10,
            checks_work=True,
            checks_times=True,
            line_max=4 << 20,
            peers_max=64,
        ),
    )
}
FIRST = RELEASES["0.0.1"]
CREDITS = RELEASES["0.0.3"]
