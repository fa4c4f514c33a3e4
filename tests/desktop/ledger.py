"""The desktop node's rules: transactions, blocks, items and what makes a chain valid.

No socket, no thread, no printing. A "wire" value is what `json` reads and writes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from release import FIRST, Kind, Release

DIFFICULTY = 2
NO_HASH = "0" * 64
CURVE = ec.SECP256R1()
SCHEME = ec.ECDSA(SHA256())
MALFORMED = (KeyError, TypeError, ValueError)  # what `from_wire` raises on a wrong shape

Extras = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Transaction:
    requester: str
    uid: str
    kind: Kind
    timestamp: int | float
    signature: str
    extras: Extras = ()

    @classmethod
    def signed(
        cls, key: ec.EllipticCurvePrivateKey, kind: Kind, uid: str, extras: Extras = ()
    ) -> Transaction:
        unsigned = cls(write_key(key.public_key()), uid, kind, time.time(), "", extras)
        return replace(unsigned, signature=key.sign(unsigned.signed_text().encode(), SCHEME).hex())

    @classmethod
    def from_wire(cls, wire: Any, release: Release = FIRST) -> Transaction:
        """Takes upper-case hex and uncompressed points too, and normalises them."""
        kind, signature = Kind(wire["type"]), expect(wire["signature"], str)
        if kind not in release.kinds:
            raise ValueError(f"no release {release.name} has transactions of type {kind}")
        if signature not in release.words:
            signature = bytes.fromhex(signature).hex()
        return cls(
            requester=write_key(read_key(wire["requester"])),
            uid=expect(wire["uid"], str),
            kind=kind,
            timestamp=expect(wire["timestamp"], int, float),
            signature=signature,
            extras=tuple((name, wire[name]) for name in release.extras if name in wire),
        )

    def to_wire(self) -> dict[str, Any]:
        return self.unsigned() | {"signature": self.signature}

    def unsigned(self) -> dict[str, Any]:
        keys = ("requester", "uid", "type", "timestamp")
        plain = dict(zip(keys, (self.requester, self.uid, self.kind, self.timestamp)))
        return plain | dict(self.extras)

    def signed_text(self) -> str:
        return json.dumps(self.unsigned(), sort_keys=True)

    def verifies(self, release: Release = FIRST) -> bool:
        if self.signature in release.words:
            return True
        signature, text = bytes.fromhex(self.signature), self.signed_text().encode()
        try:
            read_key(self.requester).verify(signature, text, SCHEME)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Block:
    index: int
    prev_hash: str
    transactions: tuple[Transaction, ...]
    nonce: int
    timestamp: int | float
    hash: str

    @classmethod
    def mined(
        cls, index: int, prev_hash: str, transactions: tuple[Transaction, ...], difficulty: int
    ) -> Block:
        start = cls(index, prev_hash, transactions, 0, time.time(), "")
        attempts = (replace(start, nonce=nonce) for nonce in count())
        hashed = (replace(block, hash=block.digest()) for block in attempts)
        return next(block for block in hashed if block.hash.startswith("0" * difficulty))

    @classmethod
    def genesis(cls, key: ec.EllipticCurvePrivateKey, release: Release) -> Block:
        grants: tuple[Transaction, ...] = ()
        if Kind.GRANT in release.kinds:
            name = write_key(key.public_key())
            extras = (("amount", 100), ("recipient", name))
            grants = (Transaction(name, "credits", Kind.GRANT, time.time(), "GENESIS", extras),)
        return cls.mined(0, NO_HASH, grants, difficulty=0)

    @classmethod
    def from_wire(cls, wire: Any, release: Release = FIRST) -> Block:
        transactions = (Transaction.from_wire(tx, release) for tx in wire["transactions"])
        return cls(
            index=expect(wire["index"], int),
            prev_hash=expect(wire["prev_hash"], str),
            transactions=tuple(transactions),
            nonce=expect(wire["nonce"], int),
            timestamp=expect(wire["timestamp"], int, float),
            hash=expect(wire["hash"], str),
        )

    def to_wire(self) -> dict[str, Any]:
        signed = [transaction.to_wire() for transaction in self.transactions]
        return self.unhashed() | {"transactions": signed, "hash": self.hash}

    def unhashed(self) -> dict[str, Any]:
        keys = ("index", "prev_hash", "transactions", "nonce", "timestamp")
        unsigned = [transaction.unsigned() for transaction in self.transactions]
        return dict(zip(keys, (self.index, self.prev_hash, unsigned, self.nonce, self.timestamp)))

    def canonical(self) -> str:
        return json.dumps(self.unhashed(), sort_keys=True)

    def digest(self) -> str:
        return hashlib.sha256(self.canonical().encode()).hexdigest()


class Items:
    """Every item that the transactions so far made known, and whether it is reserved."""

    def __init__(self, blocks: Iterable[Block], release: Release = FIRST) -> None:
        self._hold_amount = release.hold_amount
        self._reserved: dict[str, bool] = {}
        for block in blocks:
            for transaction in block.transactions:
                self.apply(transaction)

    def listed(self, reserved: bool) -> list[str]:
        return sorted(uid for uid, is_reserved in self._reserved.items() if is_reserved == reserved)

    def allows(self, kind: Kind, uid: str) -> bool:
        return self._reserved.get(uid, False) == (kind is Kind.RELEASE)

    def apply(self, transaction: Transaction) -> bool:
        """False for one that has no effect in a whole chain, and no place in a single block."""
        if transaction.kind not in (Kind.REQUEST, Kind.RELEASE):
            return True
        if not self.allows(transaction.kind, transaction.uid):
            return False
        if transaction.kind is Kind.REQUEST and not self._holds(transaction):
            return True
        self._reserved[transaction.uid] = transaction.kind is Kind.REQUEST
        return True

    def _holds(self, transaction: Transaction) -> bool:
        amount = dict(transaction.extras).get("amount", 0)
        return isinstance(amount, (int, float)) and amount >= self._hold_amount


def is_valid(chain: Sequence[Block], release: Release = FIRST) -> bool:
    """Looks neither at indexes nor at items: a transaction that is void there is no fault."""
    return (
        bool(chain)
        and first_bad(chain) is None
        and all(tx.verifies(release) for block in chain for tx in block.transactions)
        and (not release.checks_work or all(block.hash.startswith("00") for block in chain[1:]))
        and (
            not release.checks_times
            or all(before.timestamp <= block.timestamp for before, block in pairwise(chain))
        )
    )


def first_bad(chain: Sequence[Block]) -> int | None:
    """Where a chain stops being one: a hash that is not its block's, or a link that is none."""
    for at, block in enumerate(chain):
        if block.hash != block.digest() or (at and block.prev_hash != chain[at - 1].hash):
            return at
    return None


def read_key(requester: str) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, bytes.fromhex(requester))


def write_key(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()


def expect(value: Any, *types: type) -> Any:
    if type(value) not in types:
        raise TypeError(f"{value!r} is not one of {types}")
    return value
