"""A stand-in for the desktop node: its words, rules, menu and faults, for tests over real sockets.
It has that node's habits, the loose ones too; it is not a reference for how a node should behave.
A key is made at each start. Nothing is dialed, and nothing done but the window's asking, without
its user.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from chain import Chain, ChainFile, Pace
from console import DONE, MENU, REFUSED, Console
from ledger import CURVE, MALFORMED, Transaction, write_key
from peers import Disconnect, Journal, Peer, Peers
from release import FIRST, RELEASES, Kind, Release

DIAL_SECONDS = 5.0
# What a window of the release with credits offers for an item; a console offers nothing.
OFFER = 10


@dataclass
class Manner:
    """What is chosen when it is started."""

    bind: str = "0.0.0.0"
    port: int = 0
    release: Release = FIRST
    window: bool = False
    look: float = 5.0
    ask: float = 30.0
    pace: Pace = field(default_factory=Pace)
    chain: Path | None = None
    file: Path | None = None
    log: Path | None = None


class Node:
    """A thread accepts, one reads each peer, one looks at the chain: and each changes it."""

    def __init__(self, manner: Manner, say: Callable[..., None]) -> None:
        self._manner = manner
        self._say = say
        self._key = ec.generate_private_key(CURVE)
        wire = json.loads(manner.chain.read_bytes()) if manner.chain else None
        file = ChainFile(manner.file)
        self.chain = Chain(self._key, manner.release, say, manner.pace, file, wire)
        self._peers = Peers()
        self._journal = Journal(manner.log)
        self._listener = socket.create_server((manner.bind, manner.port))
        self.port: int = self._listener.getsockname()[1]
        self._sender = f"{manner.bind}:{self.port}"
        say(f"listening on {self._sender}")
        self._begin(self._accept)
        self._begin(self._repeat, manner.look, manner.look, self.chain.look)
        if manner.window:
            self._begin(self._repeat, manner.ask / 3, manner.ask, self.sync)

    # What its user does.

    def submit(self, kind: Kind, uids: list[str]) -> None:
        """One block of the items that may be requested or released, and a word on every item."""
        items = self.chain.items()
        allowed = [uid for uid in uids if items.allows(kind, uid)]
        offers = self._manner.window and "amount" in self._manner.release.extras
        extras = (("amount", OFFER),) if offers and kind is Kind.REQUEST else ()
        signed = tuple(Transaction.signed(self._key, kind, uid, extras) for uid in allowed)
        if signed:
            self.chain.make(signed)
            # Not the block that was made: whatever is the last one by now.
            last = self.chain.blocks[-1]
            self._broadcast("new_block", last.to_wire())
            untold = [tx.uid for tx in signed if tx not in last.transactions]
            self._say(*(f"[aid] told to nobody: {uid}" for uid in untold))
        self._say(*((DONE if u in allowed else REFUSED)[kind].format(u) for u in uids))

    def connect(self, host: str, port: str) -> None:
        name = f"{host}:{port}"
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.settimeout(DIAL_SECONDS)
            sock.connect((host, int(port)))
            sock.settimeout(None)
        except (OSError, OverflowError, ValueError) as error:
            sock.close()
            self._say(f"❌ could not connect to {name}: {error}")
            return
        peer = self._welcome(sock, name)
        self._send(peer, "peer_announce", {})
        self._say(f"✅ connected to {name}")

    def sync(self) -> None:
        self._broadcast("request_chain", {})

    def list_items(self, reserved: bool) -> None:
        self._list(self.chain.items().listed(reserved))

    def list_peers(self) -> None:
        self._list(self._peers.names())

    def report(self) -> None:
        items, blocks = self.chain.items(), list(self.chain.blocks)
        spoiled = ", ".join(f"{how} {count}" for how, count in self.chain.spoiled.items())
        self._say(
            f"[status] blockchain is {'A-OK! 😁' if self.chain.is_whole() else 'CORRUPTED! ⚠️'}",
            f"[status] block count: {len(blocks)}",
            f"[status] reserved items: {len(items.listed(reserved=True))}",
            f"[status] available items: {len(items.listed(reserved=False))}",
            f"[status] connected peers: {len(self._peers)}",
            # Aids for tests; desktop nodes do not say these.
            f"[status] spoiled: {spoiled}",
            f"[status] tip: {blocks[-1].hash}",
            f"[status] node key: {write_key(self._key.public_key())}",
        )

    def _list(self, entries: list[str]) -> None:
        self._say(*(f"  - {entry}" for entry in entries))

    # What its peers say.

    def _accept(self) -> None:
        while True:
            sock, (host, port) = self._listener.accept()
            peers_max = self._manner.release.peers_max
            if peers_max is not None and len(self._peers) >= peers_max:
                sock.close()
            else:
                self._welcome(sock, f"{host}:{port}")

    def _welcome(self, sock: socket.socket, name: str) -> Peer:
        peer = Peer(sock, name, self._journal, self._manner.release.line_max)
        self._peers.add(peer)
        self._begin(self._serve, peer)
        return peer

    def _serve(self, peer: Peer) -> None:
        try:
            for line in peer.lines():
                self._receive(peer, line)
        except (Disconnect, OSError, RecursionError, UnicodeDecodeError):
            pass
        finally:
            self._peers.remove(peer)
            peer.close()

    def _receive(self, peer: Peer, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        if not isinstance(message, dict) or "payload" not in message:
            raise Disconnect
        payload = message["payload"]
        match message.get("type"):
            case "peer_announce":
                others = [name for name in self._peers.names() if name != peer.name]
                self._send(peer, "peer_list", {"peers": others})
            case "request_chain":
                chain = [block.to_wire() for block in list(self.chain.blocks)]
                self._send(peer, "chain_response", {"chain": chain, "length": len(chain)})
            case "ping":
                self._send(peer, "pong", {})
            case "new_block":
                with suppress(*MALFORMED):
                    self.chain.take_block(payload)
            case "chain_response":
                with suppress(AttributeError, *MALFORMED):
                    self.chain.take_chain(payload)
            case "new_transaction":
                self._on_new_transaction(payload)
            case "peer_list" | "pong":
                pass
            case _:
                raise Disconnect

    def _on_new_transaction(self, payload: Any) -> None:
        if self._manner.window:
            return
        with suppress(*MALFORMED):
            transaction = Transaction.from_wire(payload, self._manner.release)
            deed = transaction.kind.name.lower()
            self._say(f"[network 📨] received transaction: {deed} {transaction.uid}")

    def _send(self, peer: Peer, type_: str, payload: dict[str, Any]) -> None:
        peer.send({"type": type_, "payload": payload, "sender": self._sender})

    def _broadcast(self, type_: str, payload: dict[str, Any]) -> None:
        for peer in self._peers:
            self._send(peer, type_, payload)

    # Its threads.

    def _begin(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _repeat(self, first: float, pause: float, work: Callable[[], None]) -> None:
        time.sleep(first)
        while True:
            work()
            time.sleep(pause)


def run_menu(node: Node, console: Console) -> None:
    while True:
        match console.ask(MENU.format(port=node.port)):
            case "1":
                node.submit(Kind.REQUEST, [console.ask("item ID: ")])
            case "2":
                node.submit(Kind.RELEASE, [console.ask("item ID: ")])
            case "3":
                node.list_items(reserved=True)
            case "4":
                node.list_items(reserved=False)
            case "5":
                uids = (uid.strip() for uid in console.ask("item IDs: ").split(","))
                node.submit(Kind.REQUEST, list(dict.fromkeys(filter(None, uids))))
            case "6":
                node.connect(console.ask("peer host: "), console.ask("peer port: "))
            case "7":
                node.list_peers()
            case "8":
                node.sync()
            case "9":
                node.report()
            case "10":
                return
            case _:
                console.say("❌ invalid selection.")


def milliseconds(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    return float(low) / 1000, float(high or low) / 1000


def manner() -> Manner:
    parser = argparse.ArgumentParser(description="A stand-in for the desktop node.")
    option = parser.add_argument
    option("--bind", default="0.0.0.0", metavar="ADDR", help="default: %(default)s")
    option("port", type=int, metavar="PORT", help="0 takes any free port")
    option("--release", choices=RELEASES, default="0.0.1", help="default: %(default)s")
    option("--window", action="store_true", help="the manner of the front end that asks by itself")
    option("--look", type=float, metavar="SECONDS", help="between two of its monitor: 5, window 10")
    option("--ask", type=float, default=30.0, metavar="SECONDS", help="between two of a window: 30")
    option("--handling", type=milliseconds, default="3-50", metavar="MS[-MS]", help="of mining")
    option("--late", type=int, default=25, metavar="PERCENT", help="that read the tip after that")
    option("--chain", type=Path, metavar="FILE", help="the blocks to start with")
    option("--file", type=Path, metavar="FILE", help="where all blocks are saved after each one")
    option("--log", type=Path, metavar="FILE", help="every line that it says and hears")
    chosen = parser.parse_args()
    return Manner(
        bind=chosen.bind,
        port=chosen.port,
        release=RELEASES[chosen.release],
        window=chosen.window,
        look=chosen.look or (10.0 if chosen.window else 5.0),
        ask=chosen.ask,
        pace=Pace(chosen.handling, chosen.late),
        chain=chosen.chain,
        file=chosen.file,
        log=chosen.log,
    )


def main() -> None:
    console = Console()
    with suppress(EOFError, KeyboardInterrupt):
        run_menu(Node(manner(), console.say), console)
    os._exit(0)  # at once: the threads of its peers may be in the middle of a read or a line


if __name__ == "__main__":
    main()
