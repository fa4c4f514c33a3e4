"""The connections of a desktop node, and the set in which it keeps them: by name."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

READ_SIZE = 4096


class Disconnect(Exception):
    """The peer said something that a desktop node answers by closing the connection."""


class Journal:
    """An aid for tests: every line that was said or heard, with its time. One write a line."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8") if path else None

    def note(self, way: str, name: str, line: str) -> None:
        if self._file:
            self._file.write(f"{time.time():.6f} {way} {name} {line}\n")


class Peer:
    """One connection. `name` is what was dialed, or the far end's ephemeral port."""

    def __init__(
        self, sock: socket.socket, name: str, journal: Journal, line_max: int | None
    ) -> None:
        self.name = name
        self._sock = sock
        self._journal = journal
        self._line_max = line_max
        # Or lines of two threads would be mixed, which was never seen.
        self._send_lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """A peer that is gone is noticed, and forgotten, by whoever reads from it."""
        line = json.dumps(message)
        self._journal.note(">", self.name, line)
        with self._send_lock, suppress(OSError):
            self._sock.sendall(line.encode() + b"\n")

    def lines(self) -> Iterator[str]:
        """Decodes each read on its own, so a character cut by a read is invalid UTF-8."""
        pending: list[str] = []
        size = 0
        while chunk := self._sock.recv(READ_SIZE):
            head, *rest = chunk.decode().split("\n")
            pending.append(head)
            size += len(head)
            for tail in rest:
                line = "".join(pending)
                self._journal.note("<", self.name, line)
                yield line
                pending, size = [tail], len(tail)
            if self._line_max is not None and size > self._line_max:
                raise Disconnect

    def close(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class Peers:
    """Who is told of a block. Two connections of one name are one entry, the later one's."""

    def __init__(self) -> None:
        self._by_name: dict[str, Peer] = {}

    def add(self, peer: Peer) -> None:
        self._by_name[peer.name] = peer

    def remove(self, peer: Peer) -> None:
        """Also the entry of another connection of this name, which is not told of blocks again."""
        self._by_name.pop(peer.name, None)

    def names(self) -> list[str]:
        return list(self._by_name)

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)
