"""What the checks share: a chain whose threads stop where a check wants them, and peers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from chain import Chain, ChainFile, Pace, Stage
from ledger import CURVE, Block, Transaction
from release import FIRST, Kind, Release

Cases = Iterator[tuple[str, bool]]  # the name of a case, and whether it holds

KEY = ec.generate_private_key(CURVE)
LIMIT = 60.0
SENDER = "0.0.0.0:1"


class Gates(Pace):
    """Nothing takes time; a thread that was told to stops at a stage until it is let go."""

    def __init__(self, late: int = 0) -> None:
        super().__init__((0.0, 0.0), late)
        self._stops: dict[tuple[int, Stage], tuple[threading.Event, threading.Event]] = {}

    def rest(self, stage: Stage, seconds: float) -> None:
        reached, passes = self._stops.get((threading.get_ident(), stage), (None, None))
        if reached and passes:
            reached.set()
            passes.wait(LIMIT)

    def begin(
        self, stage: Stage, work: Callable[..., object], *arguments: Any
    ) -> Callable[[], None]:
        """Runs this in a thread up to a stage; what it returns lets it go and waits for its end."""
        reached, passes = threading.Event(), threading.Event()

        def run() -> None:
            self._stops[threading.get_ident(), stage] = reached, passes
            work(*arguments)
            del self._stops[threading.get_ident(), stage]

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert reached.wait(LIMIT), f"it does not come to {stage}"

        def end() -> None:
            passes.set()
            thread.join(LIMIT)

        return end


def chain_of(pace: Pace, release: Release = FIRST) -> tuple[Chain, list[str]]:
    """A chain of a first block, and what will be said of it."""
    said: list[str] = []
    return Chain(KEY, release, lambda *lines: said.extend(lines), pace, ChainFile(None)), said


def block(index: int, *uids: str, kind: Kind = Kind.REQUEST) -> dict[str, Any]:
    """A block as a peer tells it, of whose hashes a desktop node reads nothing."""
    signed = tuple(Transaction.signed(KEY, kind, uid) for uid in uids)
    return Block.mined(index, "0" * 64, signed, difficulty=0).to_wire()


def answer(blocks: list[Block]) -> dict[str, Any]:
    return {"chain": [each.to_wire() for each in blocks], "length": len(blocks)}


def longer(length: int) -> list[Block]:
    """Another chain, of empty blocks."""
    blocks = [Block.genesis(KEY, FIRST)]
    while len(blocks) < length:
        blocks.append(Block.mined(len(blocks), blocks[-1].hash, (), 2))
    return blocks


class Dialer:
    """A peer that says what a check wants."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(LIMIT)
        self._sock = sock
        self._file = sock.makefile("r", encoding="utf-8", newline="\n")

    @classmethod
    def to(cls, port: int) -> Dialer:
        return cls(socket.create_connection(("127.0.0.1", port), LIMIT))

    def say(self, type_: str, payload: Any) -> None:
        message = {"type": type_, "payload": payload, "sender": SENDER}
        self.raw(json.dumps(message).encode() + b"\n")

    def raw(self, line: bytes) -> None:
        self._sock.sendall(line)

    def hear(self, type_: str) -> Any:
        """The payload of the next line of this type; None if it hung up before."""
        for line in self._file:
            message = json.loads(line)
            if message["type"] == type_:
                return message["payload"]
        return None

    def heard(self) -> list[str]:
        """The types of all that it said, once it has handled what it was told."""
        self.say("ping", {})
        types = []
        for line in self._file:
            types.append(json.loads(line)["type"])
            if types[-1] == "pong":
                break
        return types

    def close(self) -> None:
        self._file.close()
        self._sock.close()


def wait(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + LIMIT
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
