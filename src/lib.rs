//! A small always-on node for a lending ledger that a LAN shares: who took what, and that it came
//! back, in a chain of blocks that every node holds, with no server.
//!
#![doc = include_str!("lan.svg")]
//!
//! # The rooms, in the order in which a byte meets them
//!
//! | room | knows | may import |
//! | --- | --- | --- |
//! | [`shell`] | sockets, files, the clock, the terminal; nothing of what their bytes mean | node's and store's public names |
//! | [`wire`] | the peers' text: bytes to messages and back, streamed | limits, ledger |
//! | [`node`] | the machine: what to do about a message, a block, a chain, a line typed | limits, ledger, wire, store |
//! | [`ledger`] | the rules: transactions, blocks, items, fork choice, proof of work | limits |
//! | [`store`] | the chain file: append, branches, recovery | limits, ledger |
//!
//! [`limits`] holds every capacity and every time. [`cli`] reads the arguments, [`offline`] does
//! what needs no running node: it checks chains and carries them from one place to another. Wire
//! and store do not know each other. No room of these but the shell names a socket, a file, a
//! clock or a random source: one seed and one sequence of events give the same run again.
//! No file of src has more than 500 lines, tests in it included, and none of tests more than 600; no
//! function has more than 70. `tests/house.rs` checks all this.
//!
//! # The way of a block
//!
//! ```text
//!           a peer's socket                         all other sockets, the consoles
//!                  │                                              ▲
//! shell   poll: it is readable                             it is writable
//!                  │ bytes, into rx_space                         │ from tx_pending
//!                  ▼                                              │
//! wire    frame cuts a line,                           write makes text of it
//!         message reads it                                        ▲
//!                  │ a block                                      │
//!                  ▼                                      "block 42", a word
//! node    gossip: does it extend the tip? ─ no ─> sync    for each of them
//!                  │                                              ▲
//!                  ▼                                              │
//! ledger  index, link, work, hash, items,               the items are changed
//!         signatures: the cheapest first                          ▲
//!                  │ it may stand there                           │
//!                  ▼                                              │
//! store   log: one record, one write ───────> one sync: it is durable
//! ```
//!
//! What this node's user does becomes a block in `node::mempool` and goes the same way from the
//! ledger on: `node::console` reads it, in the menu or from `blx ctl`, `node::command` carries it out,
//! and `node::console::report` is what they are told. A transaction that comes alone goes from
//! `node::gossip` to `node::mempool::admission`. [`files`] shows what is on disk then, [`protocol`] what goes over the wire.
//!
//! # The law of driving
//!
//! ```text
//! node.handle(clock, event);                   one thing that happened
//! while let Some(action) = node.poll() { .. }  dial, accept, hang up, exit
//! wait until the first of:
//!     a connection is readable  whose rx_space is not empty    -> read into it, Event::Received
//!     a connection is writable  whose tx_pending is not empty  -> write from it, Event::Sent
//!     the deadline                                             -> Event::Tick
//! ```
//!
//! 1. One event, then `poll` until `None`, then the next event.
//! 2. The clock has two parts: `mono` for timers never goes back, `wall` for the times in blocks
//!    may do anything, as a machine without a clock battery has it.
//! 3. Backpressure is an empty slice: a connection whose `rx_space` is empty is not read, and a queue
//!    holds "block 41", never its bytes. What runs when something is full is in [`limits::Full`];
//!    `tests/sim/tiny.rs` makes all of it run.
//! 4. Work per call is bounded: some frames, some signatures, some nonces, and of each not only how
//!    many but how long they are. [`ledger::tally`] counts it, and `tests/sim/work.rs` holds it
//!    against bounds. If more is waiting the deadline is now, so the menu answers while a long chain
//!    comes in.
//!    The driver serves consoles and newcomers first in each turn, and then peers in turn, as many as go
//!    into [`limits::TURN_MS`].
//! 5. The disk is called synchronously. A block is applied, shown and told only after its sync
//!    returned. The first disk error stays: from then on nothing is written, the user knows it,
//!    and peers are still served. A failed sync is never tried again.
//! 6. A peer's fault ends its connection with a reason; a user's fault becomes one sentence; a disk's
//!    fault becomes a state of health; a fault of ours is a panic. No input panics, and no assertion
//!    speaks of what a peer sent.
//!
//! # Choices
//!
//! - Signatures are made by p256 and not by ring: RFC 6979 asks for no random source, so the
//!   machine stays deterministic. ring checks them, which is what takes the time.
//! - The disk has eight calls, not five: `replace` puts a small file in place whole, `rename` a
//!   large one, `set_aside` keeps what is cut from a damaged one.
//! - A record holds its block's hash, though it could be computed: a peer's chain is compared with
//!   ours, and any block read back, without hashing everything before it. A block of one
//!   transaction still takes less than 150 bytes.
//! - `node` is a machine of organs that see neither each other's inside nor the machine: the mempool,
//!   the links, the other chain and the consoles can each be tested without the rest. What an organ
//!   has to say to users, or wants done, is a value that is carried out in one place.
//! - The transactions of disconnected blocks are read from the file a few at a time, as the mempool
//!   has room for them. Only this node's own are held in memory until then, since they have to
//!   survive a restart.
//! - A console is a connection like a peer's, and there are several, each with a menu of its own. The
//!   line discipline of a serial one is in `node`, not in the shell: it is about what bytes mean, and
//!   is tested there without a device. The shell only opens devices and sockets, and says what is in
//!   the way.
//! - A service manager and the journal are told of the node by the shell alone ([`shell::notify`],
//!   [`shell::journal`]): all they need is a height, a number of peers and whether it ends.
//! - A name is looked up in a child process ([`shell::resolve`]): the system's resolver blocks, and
//!   there is neither a second thread nor a resolver of our own.
#![forbid(unsafe_code)]

pub mod cli;
pub mod ledger;
pub mod limits;
pub mod node;
pub mod offline;
pub mod shell;
pub mod store;
pub mod wire;

#[doc = include_str!("FILES.md")]
pub mod files {}

#[doc = include_str!("PROTOCOL.md")]
pub mod protocol {}
