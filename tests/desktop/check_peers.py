"""The habits of a desktop node over sockets: whom it tells, what it announces, when it asks."""

from __future__ import annotations

import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from chain import Stage
from check_tools import Cases, Dialer, Gates, answer, block, longer, wait
from ledger import Items
from node import Manner, Node
from release import CREDITS, Kind


def habits() -> Cases:
    yield from announces_the_last_block()
    yield from keyed_set()
    yield from window()
    yield from credits_release()
    yield from files()


def node(**chosen: object) -> tuple[Node, list[str]]:
    said: list[str] = []
    chosen.setdefault("pace", Gates())
    manner = Manner(bind="127.0.0.1", **chosen)
    return Node(manner, lambda *lines: said.extend(lines)), said


def announces_the_last_block() -> Cases:
    gates = Gates()
    desktop, said = node(pace=gates)
    peer = Dialer.to(desktop.port)
    peer.heard()
    act = gates.begin(Stage.SAVED, desktop.submit, Kind.REQUEST, ["saw"])
    peer.say("new_block", block(2, "axe"))
    peer.heard()
    act()
    told = peer.hear("new_block")
    yield "announced: the last block", [tx["uid"] for tx in told["transactions"]] == ["axe"]
    yield "announced: the user saw it done", said[-1] == "✅ requested saw"
    yield "announced: the aid tells", said[-2] == "[aid] told to nobody: saw"


def keyed_set() -> Cases:
    desktop, said = node()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        dialed = []
        for _ in range(2):
            desktop.connect("127.0.0.1", port)
            dialed.append(Dialer(listener.accept()[0]))
        desktop.list_peers()
        yield "keyed: one entry for two", said[-1] == f"  - 127.0.0.1:{port}" and said[-2][0] == "✅"
        dialed[0].close()
        yield "keyed: the entry goes", wait(lambda: not len(desktop._peers))
        desktop.submit(Kind.REQUEST, ["saw"])
        heard = dialed[1].heard()
        yield "keyed: it is told nothing again", heard == ["peer_announce", "pong"]
        dialed[1].say("request_chain", {})
        yield "keyed: it is answered", dialed[1].hear("chain_response")["length"] == 2
    caller = Dialer.to(desktop.port)
    caller.heard()
    caller.say("peer_announce", {})
    yield "keyed: who dials is no name", caller.hear("peer_list") == {"peers": []}
    desktop.submit(Kind.REQUEST, ["axe"])
    yield "keyed: and is told", caller.hear("new_block")["index"] == 2


def window() -> Cases:
    desktop, said = node(window=True, ask=0.3)
    peer = Dialer.to(desktop.port)
    yield "window: it asks", peer.hear("request_chain") == {}
    yield "window: and again", peer.hear("request_chain") == {}
    count = len(said)
    peer.say("new_transaction", block(1, "saw")["transactions"][0])
    peer.heard()
    yield "window: no word of a transaction", len(said) == count
    desktop, said = node()
    peer = Dialer.to(desktop.port)
    peer.say("new_transaction", block(1, "saw")["transactions"][0])
    peer.heard()
    yield "console: a word of it", said[-1] == "[network 📨] received transaction: request saw"


def credits_release() -> Cases:
    desktop, said = node(release=CREDITS, window=True)
    first = desktop.chain.blocks[0].to_wire()["transactions"][0]
    yield "0.0.3: block 0 has a grant", (first["type"], first["signature"]) == (0, "GENESIS")
    peer = Dialer.to(desktop.port)
    peer.heard()
    desktop.submit(Kind.REQUEST, ["saw"])
    told = peer.hear("new_block")["transactions"][0]
    yield "0.0.3: a window offers an amount", told["amount"] == 10
    yield "0.0.3: and holds the item", desktop.chain.items().listed(True) == ["saw"]
    peer.say("chain_response", answer(longer(5)))
    peer.heard()
    yield "0.0.3: a chain without amounts wins", len(desktop.chain.blocks) == 5
    peer.say("new_block", block(5, "axe"))
    peer.heard()
    yield "0.0.3: without one nothing is held", desktop.chain.items().listed(True) == []
    yield "0.0.1: there it is", Items(desktop.chain.blocks).listed(True) == ["axe"]
    peer.raw(b" " * (4 << 20))
    yield "0.0.3: 4 MiB are taken", peer.heard()[-1:] == ["pong"]
    peer.raw(b"\n" + b" " * ((4 << 20) + 4096))
    yield "0.0.3: more end it", wait(lambda: not len(desktop._peers))
    console, _ = node(release=CREDITS)
    console.submit(Kind.REQUEST, ["saw"])
    tx = console.chain.blocks[1].transactions[0]
    yield "0.0.3: a console offers nothing", tx.extras == () and tx.verifies()


def files() -> Cases:
    with TemporaryDirectory() as folder:
        path, log = Path(folder, "chain.json"), Path(folder, "log")
        desktop, _ = node(file=path, log=log)
        peer = Dialer.to(desktop.port)
        peer.heard()
        desktop.submit(Kind.REQUEST, ["saw"])
        again, _ = node(chain=path)
        yield "file: it starts with it", again.chain.blocks == desktop.chain.blocks
        lines = [line.split(" ", 3)[1] for line in log.read_text().splitlines()]
        yield "log: heard and said", lines == ["<", ">", ">"]
