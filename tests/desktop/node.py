"""A stand-in for the 0.0.1 desktop node: its words, rules and menu, for tests over real sockets.
It has that node's habits, the loose ones too; it is not a reference for how a node should behave.
Its chain and key live in memory and start anew with the process; it never acts without its user.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from ledger import CURVE, MALFORMED, Kind, Ledger, Transaction, is_valid, write_key

READ_SIZE = 4096
DIAL_SECONDS = 5.0
MENU = """\
=== Blockchain Node (Port {port}) ===
1. request (single)
2. release (single)
3. list reserved items
4. list available items
5. request (multiple)
6. connect to peer
7. list connected peers
8. sync chain from network (consensus)
9. report blockchain status
10. exit

select > """
DONE = {Kind.REQUEST: "✅ requested {}", Kind.RELEASE: "✅ released {}"}
REFUSED = {
    Kind.REQUEST: "❌ item {} is not available.",
    Kind.RELEASE: "❌ item {} is ready for request.",
}


class Disconnect(Exception):
    """The peer said something that a desktop node answers by closing the connection."""


class Console:
    """Whole lines out, answers in. A prompt stays open until its answer or the next line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prompt_open = False
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")

    def say(self, *lines: str) -> None:
        self._write("".join(line + "\n" for line in lines), prompt=False)

    def ask(self, prompt: str) -> str:
        self._write(prompt, prompt=True)
        answer = sys.stdin.readline()
        if not answer:
            raise EOFError
        if sys.stdin.isatty():  # the terminal's echo ended the line; a pipe has none
            self._prompt_open = False
        return answer.strip()

    def _write(self, text: str, prompt: bool) -> None:
        if not text:
            return
        with self._lock:
            sys.stdout.write("\n" + text if self._prompt_open else text)
            sys.stdout.flush()
            self._prompt_open = prompt


class Peer:
    """One connection. `address` is what was dialed, or the far end's ephemeral port."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.address = address
        self._sock = sock
        self._send_lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """A peer that is gone is noticed, and forgotten, by whoever reads from it."""
        with self._send_lock, suppress(OSError):
            self._sock.sendall(json.dumps(message).encode() + b"\n")

    def lines(self) -> Iterator[str]:
        """Decodes each read on its own, so a character cut by a read is invalid UTF-8."""
        pending: list[str] = []
        while chunk := self._sock.recv(READ_SIZE):
            head, *rest = chunk.decode().split("\n")
            pending.append(head)
            for tail in rest:
                yield "".join(pending)
                pending = [tail]

    def close(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class Node:
    """Ledger and peers, behind one lock; a thread accepts and one thread reads each peer."""

    def __init__(self, bind: str, port: int, ledger: Ledger, console: Console) -> None:
        self._listener = socket.create_server((bind, port))
        self.port: int = self._listener.getsockname()[1]
        self._sender = f"{bind}:{self.port}"
        self._console = console
        self._key = ec.generate_private_key(CURVE)
        self._lock = threading.Lock()
        self._ledger = ledger
        self._peers: list[Peer] = []
        console.say(f"listening on {self._sender}")
        threading.Thread(target=self._accept, daemon=True).start()

    # What its user does.

    def submit(self, kind: Kind, uids: list[str]) -> None:
        """One block of the items that may be requested or released, and a word on every item."""
        with self._lock:
            allowed = [uid for uid in uids if self._ledger.allows(kind, uid)]
            signed = tuple(Transaction.signed(self._key, kind, uid) for uid in allowed)
            block = self._ledger.extend(signed) if signed else None
        if block:
            self._broadcast("new_block", block.to_wire())
        self._console.say(*((DONE if u in allowed else REFUSED)[kind].format(u) for u in uids))

    def connect(self, host: str, port: str) -> None:
        address = f"{host}:{port}"
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.settimeout(DIAL_SECONDS)
            sock.connect((host, int(port)))
            sock.settimeout(None)
        except (OSError, OverflowError, ValueError) as error:
            sock.close()
            self._console.say(f"❌ could not connect to {address}: {error}")
            return
        peer = self._welcome(sock, address)
        self._send(peer, "peer_announce", {})
        self._console.say(f"✅ connected to {address}")

    def sync(self) -> None:
        self._broadcast("request_chain", {})

    def list_items(self, reserved: bool) -> None:
        with self._lock:
            self._list(self._ledger.items(reserved))

    def list_peers(self) -> None:
        with self._lock:
            self._list([peer.address for peer in self._peers])

    def report(self) -> None:
        with self._lock:
            chain = self._ledger.chain
            self._console.say(
                f"[status] blockchain is {'A-OK! 😁' if is_valid(chain) else 'CORRUPTED! ⚠️'}",
                f"[status] block count: {len(chain)}",
                f"[status] reserved items: {len(self._ledger.items(reserved=True))}",
                f"[status] available items: {len(self._ledger.items(reserved=False))}",
                f"[status] connected peers: {len(self._peers)}",
                # Aids for tests; desktop nodes do not say these.
                f"[status] tip: {chain[-1].hash}",
                f"[status] node key: {write_key(self._key.public_key())}",
            )

    def _list(self, entries: list[str]) -> None:
        self._console.say(*(f"  - {entry}" for entry in entries))

    # What its peers say.

    def _accept(self) -> None:
        while True:
            sock, (host, port) = self._listener.accept()
            self._welcome(sock, f"{host}:{port}")

    def _welcome(self, sock: socket.socket, address: str) -> Peer:
        peer = Peer(sock, address)
        with self._lock:
            self._peers.append(peer)
        threading.Thread(target=self._serve, args=(peer,), daemon=True).start()
        return peer

    def _serve(self, peer: Peer) -> None:
        try:
            for line in peer.lines():
                self._receive(peer, line)
        except (Disconnect, OSError, RecursionError, UnicodeDecodeError):
            pass
        finally:
            with self._lock:
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
                with self._lock:
                    others = [other.address for other in self._peers if other is not peer]
                self._send(peer, "peer_list", {"peers": others})
            case "request_chain":
                with self._lock:
                    chain = [block.to_wire() for block in self._ledger.chain]
                self._send(peer, "chain_response", {"chain": chain, "length": len(chain)})
            case "ping":
                self._send(peer, "pong", {})
            case "new_block":
                self._on_new_block(payload)
            case "chain_response":
                self._on_chain_response(payload)
            case "new_transaction":
                self._on_new_transaction(payload)
            case "peer_list" | "pong":
                pass
            case _:
                raise Disconnect

    def _on_new_block(self, payload: Any) -> None:
        """Of a peer's block only the index and the transactions count: it mines its own of them."""
        with self._lock, suppress(*MALFORMED):
            if payload["index"] != len(self._ledger.chain):
                return
            transactions = tuple(map(Transaction.from_wire, payload["transactions"]))
            if block := self._ledger.extend(transactions):
                self._console.say(f"[network 📦] received and added block #{block.index}")

    def _on_chain_response(self, payload: Any) -> None:
        with self._lock, suppress(*MALFORMED):
            ours, theirs = len(self._ledger.chain), len(payload["chain"])
            heard = f"[consensus 📡] received chain (length {theirs}) vs ours (length {ours})"
            if theirs <= ours:
                verdict = "[consensus ℹ️] kept current chain (already longest)"
            elif self._ledger.adopt(payload["chain"]):
                verdict = f"[consensus ✅] adopted longer chain ({theirs} blocks)"
            else:
                verdict = "[consensus ❌] peer chain failed validation"
            self._console.say(heard, verdict)

    def _on_new_transaction(self, payload: Any) -> None:
        with suppress(*MALFORMED):
            transaction = Transaction.from_wire(payload)
            deed = transaction.kind.name.lower()
            self._console.say(f"[network 📨] received transaction: {deed} {transaction.uid}")

    def _send(self, peer: Peer, type_: str, payload: dict[str, Any]) -> None:
        peer.send({"type": type_, "payload": payload, "sender": self._sender})

    def _broadcast(self, type_: str, payload: dict[str, Any]) -> None:
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            self._send(peer, type_, payload)


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


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for the 0.0.1 desktop node.")
    parser.add_argument("--bind", default="0.0.0.0", metavar="ADDR", help="default: %(default)s")
    parser.add_argument("port", type=int, metavar="PORT", help="0 takes any free port")
    parser.add_argument("--chain", type=Path, metavar="FILE", help="the blocks to start with")
    arguments = parser.parse_args()
    ledger = Ledger(json.loads(arguments.chain.read_bytes()) if arguments.chain else None)
    console = Console()
    with suppress(EOFError, KeyboardInterrupt):
        run_menu(Node(arguments.bind, arguments.port, ledger, console), console)
    os._exit(0)  # at once: the threads of its peers may be in the middle of a read or a line


if __name__ == "__main__":
    main()
