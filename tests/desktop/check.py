"""Runs the stand-in's own rules against the recorded words of real desktop nodes, and shows that it
has each of their faults.

Usage: check.py VECTORS_DIR. Prints a line for each file and for the faults; the exit code is 1 on
any mismatch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from check_faults import faults
from check_peers import habits
from check_tools import Cases, Gates, chain_of
from ledger import Block
from release import CREDITS


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
    chain, said = chain_of(Gates())
    chain.take_chain(message["payload"])
    yield "adopted", said[-1].startswith("[consensus ✅] adopted longer chain")
    message["payload"]["chain"] = [block.to_wire() for block in chain.blocks]
    yield "said again", json.dumps(message) + "\n" == text


def chain_state(text: str, response: str) -> Cases:
    state = json.loads(text)
    chain, _ = chain_of(Gates())
    chain.take_chain(json.loads(response)["payload"])
    yield "length", len(chain.blocks) == state["length"]
    yield "tip", chain.blocks[-1].hash == state["tip"]
    yield "reserved", chain.items().listed(reserved=True) == sorted(state["reserved"])
    yield "available", chain.items().listed(reserved=False) == sorted(state["available"])


def verdicts(text: str) -> Cases:
    for case in json.loads(text):
        chain, said = chain_of(Gates())
        chain.take_chain({"chain": case["chain"], "length": len(case["chain"])})
        adopted = "adopted" in said[-1]
        yield case["name"], adopted == case["desktop_accepts"]


def verdicts_with_credits(text: str) -> Cases:
    """Release 0.0.3 minds work and times as well."""
    for case in json.loads(text):
        times = [block["timestamp"] for block in case["chain"]]
        minds = case["name"] == "no proof of work" or times != sorted(times)
        chain, said = chain_of(Gates(), CREDITS)
        chain.take_chain({"chain": case["chain"], "length": len(case["chain"])})
        wanted = case["desktop_accepts"] and not minds
        yield case["name"], ("adopted" in said[-1]) == wanted


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
        "verdicts.json, release 0.0.3": verdicts_with_credits(read("verdicts.json")),
        "faults": faults(),
        "habits": habits(),
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
