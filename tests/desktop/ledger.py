"""The desktop node's rules: transactions, blocks, items and what makes a chain valid.

No socket, no thread, no printing. A "wire" value is what `json` reads and writes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import count, pairwise
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DIFFICULTY = 2
NO_HASH = "0" * 64
CURVE = ec.SECP256R1()
SCHEME = ec.ECDSA(SHA256())
MALFORMED = (KeyError, TypeError, ValueError)  # what `from_wire` raises on a wrong shape


class Kind(IntEnum):
    REQUEST = 1
    RELEASE = 2


@dataclass(frozen=True)
class Transaction:
    requester: str
    uid: str
    kind: Kind
    timestamp: int | float
    signature: str

    @classmethod
    def signed(cls, key: ec.EllipticCurvePrivateKey, kind: Kind, uid: str) -> Transaction:
        unsigned = cls(write_key(key.public_key()), uid, kind, time.time(), "")
        return replace(unsigned, signature=key.sign(unsigned.signed_text().encode(), SCHEME).hex())

    @classmethod
    def from_wire(cls, wire: Any) -> Transaction:
        """Takes upper-case hex and uncompressed points too, and normalises them."""
        return cls(
            requester=write_key(read_key(wire["requester"])),
            uid=expect(wire["uid"], str),
            kind=Kind(wire["type"]),
            timestamp=expect(wire["timestamp"], int, float),
            signature=bytes.fromhex(wire["signature"]).hex(),
        )

    def to_wire(self) -> dict[str, Any]:
        return self.unsigned() | {"signature": self.signature}

    def unsigned(self) -> dict[str, Any]:
        keys = ("requester", "uid", "type", "timestamp")
        return dict(zip(keys, (self.requester, self.uid, self.kind, self.timestamp)))

    def signed_text(self) -> str:
        return json.dumps(self.unsigned(), sort_keys=True)

    def verifies(self) -> bool:
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
    def from_wire(cls, wire: Any) -> Block:
        return cls(
            index=expect(wire["index"], int),
            prev_hash=expect(wire["prev_hash"], str),
            transactions=tuple(map(Transaction.from_wire, wire["transactions"])),
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


class Ledger:
    """A chain that starts with a genesis block of its own, and the items it tells of."""

    def __init__(self, wire: list[Any] | None = None) -> None:
        """`wire` is a chain that it had before; nothing of it is checked."""
        self.chain = [Block.from_wire(block) for block in wire or ()]
        self.chain = self.chain or [Block.mined(0, NO_HASH, (), difficulty=0)]
        self._reserved: dict[str, bool] = {}  # every uid seen, and whether it is reserved now
        self._replay()

    def items(self, reserved: bool) -> list[str]:
        return sorted(uid for uid, is_reserved in self._reserved.items() if is_reserved == reserved)

    def allows(self, kind: Kind, uid: str) -> bool:
        return self._reserved.get(uid, False) == (kind is Kind.RELEASE)

    def extend(self, transactions: tuple[Transaction, ...]) -> Block | None:
        """Mines a block of `transactions`, or does nothing if one of them is not in order."""
        before = dict(self._reserved)
        for transaction in transactions:
            if not self.allows(transaction.kind, transaction.uid) or not transaction.verifies():
                self._reserved = before
                return None
            self._apply(transaction)
        block = Block.mined(len(self.chain), self.chain[-1].hash, transactions, DIFFICULTY)
        self.chain.append(block)
        return block

    def adopt(self, wire: list[Any]) -> bool:
        """Takes a chain in place of its own if it is longer and valid."""
        try:
            chain = [Block.from_wire(block) for block in wire]
        except MALFORMED:
            return False
        if len(chain) <= len(self.chain) or not is_valid(chain):
            return False
        self.chain = chain
        self._replay()
        return True

    def _replay(self) -> None:
        self._reserved.clear()
        for block in self.chain:
            for transaction in block.transactions:
                self._apply(transaction)

    def _apply(self, transaction: Transaction) -> None:
        self._reserved[transaction.uid] = transaction.kind is Kind.REQUEST


def is_valid(chain: Sequence[Block]) -> bool:
    """Looks at hashes, links and signatures; not at indexes, proof of work or items."""
    return (
        all(block.hash == block.digest() for block in chain)
        and all(before.hash == block.prev_hash for before, block in pairwise(chain))
        and all(transaction.verifies() for block in chain for transaction in block.transactions)
    )


def read_key(requester: str) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, bytes.fromhex(requester))


def write_key(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()


def expect(value: Any, *types: type) -> Any:
    if type(value) not in types:
        raise TypeError(f"{value!r} is not one of {types}")
    return value
