"""The chain of a desktop node: shared by all of its threads, with no lock around it.

Everything here reads the chain, takes its time, and writes what it made of what it had read. So two
of these at once spoil it, as they do in a real one.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from ledger import DIFFICULTY, MALFORMED, Block, Items, Transaction, first_bad, is_valid
from release import Release

# What a block costs a real one, in seconds: when a chain is looked at, and when one is taken.
LOOK_COST = 130e-6
TAKE_COST = 173e-6
# How far back the same transaction is searched for, when it is counted.
RECENT = 16

Say = Callable[..., None]


class Stage(Enum):
    """Where a thread rests, and others overtake it."""

    CHECKED = auto()  # a block's index and items are checked; the tip it will stand on is not read
    MINED = auto()  # it is made; not appended
    SAVED = auto()  # it is appended and saved; not announced
    VALIDATED = auto()  # a whole chain is found longer and valid; not in place
    LOOKED = auto()  # all is hashed by the monitor; it has not judged


@dataclass
class Pace:
    """How long things take."""

    mining: tuple[float, float] = (0.003, 0.050)
    # How many of a hundred read the tip only after that time: then both of two at once link.
    late: int = 25

    def rest(self, stage: Stage, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)

    def drawn(self) -> tuple[float, float]:
        """Seconds before and after the tip is read."""
        seconds = random.uniform(*self.mining)
        return (seconds, 0.0) if random.randrange(100) < self.late else (0.0, seconds)


class ChainFile:
    """The whole chain, written anew each time; without a path, where nobody sees it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def save(self, blocks: list[Block]) -> None:
        text = json.dumps([block.to_wire() for block in blocks])
        if self._path is None:
            with tempfile.TemporaryFile("w") as file:
                file.write(text)
            return
        # Of a name of its own, as two threads may be here.
        folder = self._path.absolute().parent
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=self._path.name)
        with open(descriptor, "w") as file:
            file.write(text)
        os.replace(name, self._path)


class Chain:
    """It starts with a genesis block of its own, or with what a file has."""

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        release: Release,
        say: Say,
        pace: Pace,
        file: ChainFile,
        wire: list[Any] | None = None,
    ) -> None:
        """Nothing of `wire`, which it had before, is checked."""
        self.blocks = [Block.from_wire(block, release) for block in wire or ()]
        self.blocks = self.blocks or [Block.genesis(key, release)]
        # An aid for tests: how often it was spoiled, and in which way.
        self.spoiled: Counter[str] = Counter(unlinked=0, twice=0, overwritten=0, cut=0)
        self._release = release
        self._say = say
        self._pace = pace
        self._file = file
        self._looks_clean = True
        self._looking = False
        file.save(self.blocks)

    def items(self) -> Items:
        return Items(list(self.blocks), self._release)

    def is_whole(self) -> bool:
        return is_valid(list(self.blocks), self._release)

    def take_block(self, payload: Any) -> None:
        """Of a peer's block only the index and the transactions count: it mines its own of them."""
        if payload["index"] != len(self.blocks):
            return
        wire = payload["transactions"]
        transactions = tuple(Transaction.from_wire(each, self._release) for each in wire)
        items = self.items()
        if all(tx.verifies(self._release) and items.apply(tx) for tx in transactions):
            block = self.make(transactions)
            self._say(f"[network 📦] received and added block #{block.index}")

    def make(self, transactions: tuple[Transaction, ...]) -> Block:
        """What it appends may neither link nor be in order any more by then."""
        before, after = self._pace.drawn()
        self._rest(Stage.CHECKED, before)
        index, tip, start = len(self.blocks), self.blocks[-1], time.monotonic()
        block = Block.mined(index, tip.hash, transactions, DIFFICULTY)
        self._rest(Stage.MINED, after - (time.monotonic() - start))
        self._count(block)
        self.blocks.append(block)
        self._file.save(list(self.blocks))
        self._rest(Stage.SAVED, 0.0)
        return block

    def take_chain(self, payload: Any) -> None:
        """It is compared now, and put in place when all of it is checked, whatever came since."""
        mine, start = self.blocks, time.monotonic()
        ours, theirs = len(mine), payload.get("length", len(payload["chain"]))
        self._say(f"[consensus 📡] received chain (length {theirs}) vs ours (length {ours})")
        if theirs <= ours:
            self._say("[consensus ℹ️] kept current chain (already longest)")
            return
        try:
            blocks = [Block.from_wire(block, self._release) for block in payload["chain"]]
        except MALFORMED:
            blocks = []
        if len(blocks) <= ours or not is_valid(blocks, self._release):
            self._say("[consensus ❌] peer chain failed validation")
            return
        spent = time.monotonic() - start
        self._rest(Stage.VALIDATED, len(blocks) * TAKE_COST - spent)
        self.spoiled["overwritten"] += self.blocks is not mine or len(self.blocks) != ours
        self.blocks = blocks
        self._file.save(list(blocks))
        self._say(f"[consensus ✅] adopted longer chain ({len(blocks)} blocks)")

    def look(self) -> None:
        """The monitor's. It repairs only what it finds after a look that found nothing."""
        self._looking, start = True, time.monotonic()
        blocks = list(self.blocks)
        bad = first_bad(blocks)
        self._rest(Stage.LOOKED, len(blocks) * LOOK_COST - (time.monotonic() - start))
        self._looking = False
        repairs, self._looks_clean = self._looks_clean and bad is not None, bad is None
        if not repairs:
            return
        self._say("[monitor ⚠️] corruption detected ... repairing")
        self.spoiled["cut"] += len(self.blocks) - len(blocks[:bad])
        self.blocks = blocks[:bad]
        self._file.save(list(self.blocks))
        self._say("[monitor ✅] repair completed.")

    def _rest(self, stage: Stage, seconds: float) -> None:
        # A look takes a processor of which everything else has half meanwhile.
        slow = self._looking and stage is not Stage.LOOKED
        self._pace.rest(stage, seconds * 2 if slow else seconds)

    def _count(self, block: Block) -> None:
        recent = list(self.blocks[-RECENT:])
        known = {tx.signature for other in recent for tx in other.transactions}
        self.spoiled["unlinked"] += block.prev_hash != recent[-1].hash
        self.spoiled["twice"] += any(tx.signature in known for tx in block.transactions)
