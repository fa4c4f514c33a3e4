"""Each fault of the chain that has no lock, with its threads held where it happens."""

from __future__ import annotations

from itertools import pairwise

from chain import Chain, Stage
from check_tools import KEY, Cases, Gates, answer, block, chain_of, longer
from ledger import Transaction
from release import Kind

DAMAGE = "[monitor ⚠️] corruption detected ... repairing"


def faults() -> Cases:
    yield from same_block_on_one_tip()
    yield from same_block_on_two_tips()
    yield from block_beside_a_chain()
    yield from block_beside_its_user()
    yield from blind_spot()
    yield from chains_that_change_nothing()
    yield from void_transactions()


def links(chain: Chain) -> bool:
    return all(a.hash == b.prev_hash for a, b in pairwise(chain.blocks))


def same_block_on_one_tip() -> Cases:
    gates = Gates()
    chain, said = chain_of(gates)
    told = block(1, "saw")
    first = gates.begin(Stage.MINED, chain.take_block, told)
    second = gates.begin(Stage.MINED, chain.take_block, told)
    first(), second()
    yield "one tip: both are appended", len(chain.blocks) == 3
    yield "one tip: the second does not link", not links(chain)
    yield "one tip: both are of one index", [b.index for b in chain.blocks] == [0, 1, 1]
    yield "one tip: counted", chain.spoiled["unlinked"] == 1
    chain.look()
    yield "one tip: the tail is cut", len(chain.blocks) == 2 and said[-2] == DAMAGE
    yield "one tip: what is left is whole", chain.is_whole()


def same_block_on_two_tips() -> Cases:
    gates = Gates(late=100)
    chain, said = chain_of(gates)
    told = block(1, "saw")
    # Both have looked at index and items before either has read the tip.
    first = gates.begin(Stage.CHECKED, chain.take_block, told)
    second = gates.begin(Stage.CHECKED, chain.take_block, told)
    first(), second()
    uids = [tx.uid for b in chain.blocks for tx in b.transactions]
    yield "two tips: the request is there twice", uids == ["saw", "saw"]
    yield "two tips: it links", links(chain) and [b.index for b in chain.blocks] == [0, 1, 2]
    yield "two tips: counted", chain.spoiled["twice"] == 1
    chain.look()
    yield "two tips: nothing is repaired", len(chain.blocks) == 3 and DAMAGE not in said
    yield "two tips: it is valid", chain.is_whole()
    yield "two tips: the item is held", chain.items().listed(reserved=True) == ["saw"]


def block_beside_a_chain() -> Cases:
    gates = Gates()
    chain, said = chain_of(gates)
    adopt = gates.begin(Stage.VALIDATED, chain.take_chain, answer(longer(3)))
    for at, uid in enumerate(("saw", "axe", "drill"), start=1):
        chain.take_block(block(at, uid))
    yield "beside a chain: blocks come", len(chain.blocks) == 4
    adopt()
    yield "beside a chain: they are gone", len(chain.blocks) == 3 and not chain.items().listed(True)
    yield "beside a chain: counted", chain.spoiled["overwritten"] == 1
    yield "beside a chain: adopted", said[-1] == "[consensus ✅] adopted longer chain (3 blocks)"
    making = gates.begin(Stage.MINED, chain.take_block, block(3, "saw"))
    chain.take_chain(answer(longer(4)))
    making()
    yield "a chain beside: the block does not link", len(chain.blocks) == 5 and not links(chain)


def block_beside_its_user() -> Cases:
    gates = Gates()
    chain, _ = chain_of(gates)
    own = (Transaction.signed(KEY, Kind.REQUEST, "saw"),)
    act = gates.begin(Stage.SAVED, chain.make, own)
    chain.take_block(block(2, "axe"))
    act()
    # What its node announces when the act has ended.
    last = chain.blocks[-1]
    yield "beside its user: another's is the last", [tx.uid for tx in last.transactions] == ["axe"]
    yield "beside its user: its own is there", chain.items().listed(True) == ["axe", "saw"]


def blind_spot() -> Cases:
    gates = Gates()
    chain, said = chain_of(gates)

    def spoil(uid: str) -> None:
        told = block(len(chain.blocks), uid)
        ends = [gates.begin(Stage.MINED, chain.take_block, told) for _ in range(2)]
        for end in ends:
            end()

    spoil("saw")
    chain.look()
    yield "blind spot: the first is repaired", said.count(DAMAGE) == 1 and links(chain)
    spoil("axe")
    for _ in range(3):
        chain.look()
    yield "blind spot: the second stays", said.count(DAMAGE) == 1 and not links(chain)
    chain.take_chain(answer(longer(len(chain.blocks) + 1)))
    chain.look()
    yield "blind spot: a longer chain ends it", links(chain)
    spoil("drill")
    chain.look()
    yield "blind spot: it sees again", said.count(DAMAGE) == 2 and links(chain)


def chains_that_change_nothing() -> Cases:
    chain, said = chain_of(Gates())
    chain.take_block(block(1, "saw"))
    before = list(chain.blocks)
    heard = "[consensus 📡] received chain (length 2) vs ours (length 2)"
    chain.take_chain({"chain": [], "length": 2})
    kept = ["[consensus ℹ️] kept current chain (already longest)"]
    yield "no blocks, our length: kept", said[-2:] == [heard, *kept]
    chain.take_chain({"chain": [], "length": 9})
    yield "no blocks, more: invalid", said[-1] == "[consensus ❌] peer chain failed validation"
    yield "neither changes it", chain.blocks == before


def void_transactions() -> Cases:
    chain, _ = chain_of(Gates())
    for at, (uid, kind) in enumerate((("saw", Kind.REQUEST), ("axe", Kind.RELEASE)), start=1):
        chain.make((Transaction.signed(KEY, kind, uid), Transaction.signed(KEY, kind, uid)))
        yield f"void {kind.name}: it is in the chain", len(chain.blocks) == at + 1
    other, said = chain_of(Gates())
    other.take_chain(answer(chain.blocks))
    yield "void: the chain is valid", "adopted" in said[-1]
    items = other.items()
    yield "void: without effect", (items.listed(True), items.listed(False)) == (["saw"], [])
    other.take_block(block(3, "saw"))
    other.take_block(block(3, "axe", kind=Kind.RELEASE))
    yield "void: refused in a single block", len(other.blocks) == 3
