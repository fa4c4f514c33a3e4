"""Runs the stand-in's own rules against the recorded words of real desktop nodes.

Usage: check.py VECTORS_DIR. Prints a line for each file; the exit code is 1 on any mismatch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ledger import Block, Ledger

Cases = Iterator[tuple[str, bool]]  # the name of a case, and whether it holds


def numbers(text: str) -> Cases:
    for case in json.loads(text):
        yield case["json"], json.dumps(json.loads(case["json"])) == case["canonical"]


def strings(text: str) -> Cases:
    for case in json.loads(text):
        value = bytes.fromhex(case["value_utf8_hex"]).decode()
        yield case["value_utf8_hex"], json.dumps(value) == case["canonical"]


def blocks(text: str) -> Cases:
    for case in json.loads(text):
        block = Block.from_wire(json.loads(case["wire"]))
        signed = [
            {"signed_text": t.signed_text(), "signature": t.signature, "requester": t.requester}
            for t in block.transactions
        ]
        yield f"{block.index}: wire text", json.dumps(block.to_wire()) == case["wire"]
        yield f"{block.index}: hashed text", block.canonical() == case["canonical"]
        yield f"{block.index}: hash", block.digest() == block.hash == case["hash"]
        yield f"{block.index}: signed texts", signed == case["transactions"]
        yield f"{block.index}: signatures", all(t.verifies() for t in block.transactions)


def chain_response(text: str) -> Cases:
    message = json.loads(text)
    ledger = Ledger()
    yield "adopted", ledger.adopt(message["payload"]["chain"])
    message["payload"]["chain"] = [block.to_wire() for block in ledger.chain]
    yield "said again", json.dumps(message) + "\n" == text


def chain_state(text: str, response: str) -> Cases:
    state = json.loads(text)
    ledger = Ledger()
    yield "adopted", ledger.adopt(json.loads(response)["payload"]["chain"])
    yield "length", len(ledger.chain) == state["length"]
    yield "tip", ledger.chain[-1].hash == state["tip"]
    yield "reserved", ledger.items(reserved=True) == sorted(state["reserved"])
    yield "available", ledger.items(reserved=False) == sorted(state["available"])


def verdicts(text: str) -> Cases:
    for case in json.loads(text):
        yield case["name"], Ledger().adopt(case["chain"]) == case["desktop_accepts"]


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: check.py VECTORS_DIR", file=sys.stderr)
        return 2
    directory = Path(sys.argv[1])

    def read(name: str) -> str:
        return (directory / name).read_text("utf-8")

    response = read("chain_response.line")
    checks = {
        "numbers.json": numbers(read("numbers.json")),
        "strings.json": strings(read("strings.json")),
        "blocks.json": blocks(read("blocks.json")),
        "chain_response.line": chain_response(response),
        "chain_state.json": chain_state(read("chain_state.json"), response),
        "verdicts.json": verdicts(read("verdicts.json")),
    }
    healthy = True
    for name, check in checks.items():
        cases = list(check)
        failures = [case for case, holds in cases if not holds]
        healthy &= bool(cases) and not failures
        print(f"{name}: {len(cases) - len(failures)} of {len(cases)} hold")
        print("".join(f"  mismatch: {case}\n" for case in failures), end="")
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
