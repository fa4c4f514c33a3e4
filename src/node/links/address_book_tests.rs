use super::*;

const MINUTE: u64 = 60_000;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A host of the LAN.
fn host(number: usize) -> SocketAddr {
    at(&format!("10.0.{}.{}:6000", number / 250, number % 250 + 1))
}

fn entry(number: usize, proven: bool) -> Entry {
    let address = host(number);
    let source = address.ip();
    Entry {
        address,
        source,
        proven,
    }
}

/// Told by somebody else each.
fn stranger(number: usize) -> IpAddr {
    at(&format!("10.9.{}.{}:1", number / 250, number % 250 + 1)).ip()
}

fn small(entries: Vec<Entry>) -> AddressBook {
    AddressBook::with_capacity(entries, 16)
}

fn addresses(book: &AddressBook, now: u64) -> Vec<SocketAddr> {
    let entries = book.entries(Millis(now));
    entries.into_iter().map(|entry| entry.address).collect()
}

fn next(book: &AddressBook, now: u64) -> Option<SocketAddr> {
    book.next(Millis(now), |_| false)
}

#[test]
fn what_nobody_can_dial_is_refused() {
    let mut book = small(vec![]);
    let lan = ip("10.0.0.9");
    for refused in [
        "10.0.0.1:0",
        "0.0.0.0:6000",
        "[::]:6000",
        "224.0.0.1:6000",
        "[ff02::1]:6000",
        "255.255.255.255:6000",
        "[fe80::1]:6000",
        "127.0.0.1:6000",
        "127.8.8.8:6000",
        "[::1]:6000",
        "[::ffff:127.0.0.1]:6000",
    ] {
        assert!(!book.learn(at(refused), lan, Millis(0)), "{refused}");
        let kept = Entry {
            address: at(refused),
            source: lan,
            proven: true,
        };
        assert!(addresses(&small(vec![kept]), 0).is_empty(), "{refused}");
    }
    for refused in ["10.0.0.1:0", "0.0.0.0:6000"] {
        book.reached(at(refused), Millis(0));
    }
    assert!(addresses(&book, 0).is_empty());
    assert!(book.learn(at("127.0.0.1:6000"), ip("127.0.0.1"), Millis(0)));
    assert!(book.learn(at("[::1]:6000"), ip("::ffff:127.0.0.1"), Millis(0)));
}

#[test]
fn two_ports_of_a_host_are_tried_at_a_time_and_of_this_machine_all() {
    let mut book = AddressBook::new(vec![]);
    let port = |port: u16| SocketAddr::new(host(1).ip(), port);
    let mut learn = |address| book.learn(address, stranger(1), Millis(0));
    assert!(learn(port(6000)) && learn(port(6001)) && !learn(port(6002)));
    assert!(learn(host(2)), "another host");
    book.failed(port(6001), Millis(0), 0);
    assert!(book.learn(port(6002), stranger(1), Millis(0)));
    assert!(book.find(port(6001)).is_none(), "it did not answer");
    assert!(!book.learn(port(6003), stranger(1), Millis(0)));
    // Whose port it is knows best.
    assert!(book.learn(port(6004), host(1).ip(), Millis(0)));
    assert!(book.find(port(6000)).is_some() != book.find(port(6002)).is_some());
    book.forget(port(6004), Millis(0));
    book.forget(port(6002), Millis(0));
    // What is proven takes no place of theirs.
    book.reached(port(6000), Millis(0));
    for next in [6002, 6003] {
        assert!(book.learn(port(next), stranger(1), Millis(0)));
    }
    let own = ip("127.0.0.1");
    for port in 1..9 {
        assert!(book.learn(SocketAddr::new(own, port), own, Millis(0)));
    }
}

#[test]
fn of_a_source_that_is_spent_who_has_spoken_is_dialed() {
    let mut book = AddressBook::new(vec![]);
    let most = limits::DIALS_PER_SOURCE;
    for number in 0..=most {
        assert!(book.learn(host(number), stranger(1), Millis(0)));
    }
    for dial in 0..most {
        let address = next(&book, 0).expect("somebody");
        book.dialed(address, Millis(dial as u64));
        book.failed(address, Millis(0), 0);
    }
    let over = limits::DIALS_MS;
    assert_eq!(next(&book, over - 1), None);
    assert_eq!(book.deadline(Millis(MINUTE), |_| false), Some(Millis(over)));
    assert_eq!(next(&book, over), Some(host(most)));
    // Of whom he told has no place that another port of the same host could not have.
    let other = |port| SocketAddr::new(host(most).ip(), port);
    assert!(book.learn(other(6001), stranger(1), Millis(0)));
    assert!(book.learn(other(6002), stranger(2), Millis(MINUTE / 2)));
    assert!(book.find(other(6002)).is_some() && book.find(host(most)).is_some());
    for port in [6001, 6002] {
        book.forget(other(port), Millis(0));
    }
    // Somebody else tells of one of them: that one is believed.
    assert!(!book.learn(host(most), stranger(1), Millis(0)));
    assert_eq!(next(&book, MINUTE / 2), None);
    assert!(!book.learn(host(most), stranger(2), Millis(0)));
    assert_eq!(next(&book, MINUTE / 2), Some(host(most)));
    book.failed(host(most), Millis(over), 0);
    book.reached(host(7), Millis(MINUTE));
    book.left(host(7), Millis(2 * MINUTE), MINUTE);
    assert_eq!(next(&book, 2 * MINUTE), Some(host(7)));
}

#[test]
fn an_address_is_known_once_however_it_is_spelled() {
    let mut book = small(vec![entry(1, true), entry(1, false)]);
    assert_eq!(addresses(&book, 0), [host(1)]);
    assert!(!book.learn(host(1), stranger(1), Millis(0)));
    assert!(!book.learn(at("[::ffff:10.0.0.2]:6000"), stranger(1), Millis(0)));
    assert!(book.learn(at("10.0.0.2:6001"), stranger(1), Millis(0)));
    book.reached(at("[::ffff:10.0.0.2]:6001"), Millis(0));
    assert_eq!(addresses(&book, 0).len(), 2);
}

#[test]
fn a_source_fills_an_eighth() {
    let mut book = AddressBook::new(vec![]);
    let taken = |number: &usize| book.learn(host(*number), stranger(1), Millis(0));
    assert_eq!((0..500).filter(taken).count(), limits::ADDRESS_BOOK / 8);
    // Neither does it gain a place by what is proven.
    book.reached(host(0), Millis(0));
    assert!(!book.learn(host(600), stranger(1), Millis(0)));
    assert!(book.learn(host(600), stranger(2), Millis(0)));
    // One that was missed makes room for another of the same source, and only for that.
    book.failed(host(600), Millis(0), 0);
    assert!(!book.learn(host(601), stranger(1), Millis(0)));
    book.failed(host(7), Millis(0), 0);
    assert!(book.learn(host(601), stranger(2), Millis(0)));
    assert!(book.find(host(7)).is_some());
    assert!(book.learn(host(602), stranger(1), Millis(0)));
    assert!(book.find(host(7)).is_none());
}

#[test]
fn a_full_book_keeps_what_is_worth_most() {
    let mut book = small((0..10).map(|number| entry(number, true)).collect());
    for number in 10..16 {
        assert!(book.learn(host(number), stranger(number), Millis(0)));
    }
    assert!(!book.learn(host(20), stranger(20), Millis(0)), "full");
    book.failed(host(12), Millis(0), 0);
    book.failed(host(12), Millis(0), 0);
    book.failed(host(14), Millis(0), 0);
    for number in [3, 4, 5] {
        book.failed(host(number), Millis(0), 0);
    }
    assert!(book.learn(host(20), stranger(20), Millis(0)));
    assert!(book.find(host(12)).is_none(), "missed most");
    assert!(book.learn(host(21), stranger(21), Millis(0)));
    assert!(book.find(host(14)).is_none());
    assert!(!book.learn(host(22), stranger(22), Millis(0)));

    // Who was reached takes the place of unproven ones, and of proven ones only if there are no
    // others left.
    for number in 30..36 {
        assert!(book.find(host(9)).is_some());
        book.reached(host(number), Millis(0));
        assert_eq!(book.known.len(), 16);
    }
    assert!(book.entries(Millis(0)).iter().all(|entry| entry.proven));
    for number in (0..10).chain(30..36) {
        book.left(host(number), Millis(9), 1_000 - number as u64);
    }
    book.reached(host(40), Millis(9));
    assert!(book.find(host(35)).is_none(), "worth least");
    assert!(!book.learn(host(50), stranger(50), Millis(0)));
}

#[test]
fn the_best_of_the_last_run_are_dialed_first() {
    let entries = vec![
        entry(0, true),
        entry(1, false),
        entry(2, false),
        entry(3, true),
    ];
    let mut book = small(entries);
    assert!(book.learn(host(9), stranger(9), Millis(0)));
    let mut dialed = Vec::new();
    while let Some(address) = book.next(Millis(0), |address| dialed.contains(address)) {
        dialed.push(address);
    }
    assert_eq!(dialed, [host(0), host(1), host(3), host(2), host(9)]);
    // Of the others, who was missed less often.
    book.failed(host(2), Millis(0), 0);
    let busy = [host(0), host(1), host(3)];
    let taken = |address: &SocketAddr| busy.contains(address);
    assert_eq!(book.next(Millis(MINUTE), taken), Some(host(9)));
}

#[test]
fn a_failed_one_is_dialed_later_and_later() {
    let mut book = small(vec![entry(0, true)]);
    let mut now = 7;
    for minutes in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
        assert_eq!(next(&book, now), Some(host(0)));
        book.failed(host(0), Millis(now), 0);
        let due = now + minutes * MINUTE;
        assert_eq!(book.deadline(Millis(0), |_| false), Some(Millis(due)));
        assert_eq!(
            (next(&book, due - 1), next(&book, due)),
            (None, Some(host(0)))
        );
        now = due;
    }
    assert_eq!(book.deadline(Millis(0), |_| true), None);
    for chance in 0..20_000 {
        let mut book = small(vec![entry(0, true)]);
        book.failed(host(0), Millis(0), chance * 977);
        let Some(Millis(due)) = book.deadline(Millis(0), |_| false) else {
            panic!("it is kept");
        };
        assert!((MINUTE..=MINUTE * 11 / 10).contains(&due), "{due}");
    }
}

#[test]
fn one_that_never_answers_is_forgotten_and_one_that_did_is_not() {
    let mut book = small(vec![entry(0, true), entry(1, false)]);
    for _ in 0..2 {
        book.failed(host(1), Millis(0), 0);
    }
    assert_eq!(addresses(&book, 0), [host(0), host(1)]);
    for _ in 0..20 {
        book.failed(host(0), Millis(0), 0);
        book.failed(host(1), Millis(0), 0);
    }
    assert_eq!(addresses(&book, 0), [host(0)]);
}

#[test]
fn a_connection_that_lasted_may_be_made_again_at_once() {
    let mut book = small(vec![]);
    // One that speaks and hangs up is no better than one that does not answer.
    let mut now = 0;
    for minutes in [1, 2, 4] {
        book.reached(host(0), Millis(now));
        book.left(host(0), Millis(now), 500);
        assert_eq!(
            book.deadline(Millis(0), |_| false),
            Some(Millis(now + minutes * MINUTE))
        );
        now += minutes * MINUTE;
    }
    book.reached(host(0), Millis(now));
    book.left(host(0), Millis(now + MINUTE), MINUTE);
    assert_eq!(next(&book, now + MINUTE), Some(host(0)));
    book.failed(host(0), Millis(now), 0);
    assert_eq!(
        next(&book, now + MINUTE),
        Some(host(0)),
        "and that is the first miss"
    );
}

#[test]
fn the_time_connected_tells_who_is_best() {
    let mut book = small((0..4).map(|number| entry(number, true)).collect());
    assert!(book.learn(host(9), stranger(9), Millis(0)));
    assert_eq!(addresses(&book, 5), [0, 1, 2, 3, 9].map(host));
    book.reached(host(2), Millis(0));
    book.left(host(2), Millis(1_000), 1_000);
    book.reached(host(3), Millis(500));
    assert_eq!(addresses(&book, 1_000), [2, 3, 0, 1, 9].map(host));
    assert_eq!(
        addresses(&book, 1_501),
        [3, 2, 0, 1, 9].map(host),
        "still open"
    );
    book.left(host(3), Millis(1_501), 1_001);
    book.reached(host(2), Millis(9_000));
    book.left(host(2), Millis(9_002), 2);
    book.reached(host(9), Millis(9_002));
    assert_eq!(addresses(&book, 9_002), [2, 3, 0, 1, 9].map(host));
    assert!(book.entries(Millis(0)).iter().all(|entry| entry.proven));
}

#[test]
fn our_own_address_is_not_learned_again() {
    let mut book = small(vec![entry(0, true)]);
    book.forget_own(host(0), Millis(0));
    assert!(addresses(&book, 0).is_empty() && book.is_dirty(Millis(0)));
    assert!(!book.learn(host(0), stranger(1), Millis(0)));
    for number in 0..limits::ADDRESS_BOOK_OURS {
        book.forget_own(host(100 + number), Millis(0));
    }
    assert!(
        book.learn(host(0), stranger(1), Millis(0)),
        "the oldest is not remembered"
    );
}

#[test]
fn the_book_is_written_seldom() {
    let mut book = small(vec![]);
    assert_eq!(book.write_due(), None);
    book.learn(host(0), stranger(0), Millis(1_000));
    book.learn(host(1), stranger(0), Millis(9_000));
    assert_eq!(book.write_due(), Some(Millis(1_000 + MINUTE)));
    book.written(Millis(2 * MINUTE));
    assert_eq!(
        (book.write_due(), book.is_dirty(Millis(2 * MINUTE))),
        (None, false)
    );
    book.reached(host(0), Millis(3 * MINUTE));
    assert_eq!(book.write_due(), Some(Millis(17 * MINUTE)));
    // A disk that does not take it is asked again after as long.
    book.write_failed(Millis(17 * MINUTE));
    assert!(book.is_dirty(Millis(17 * MINUTE)));
    assert_eq!(book.write_due(), Some(Millis(32 * MINUTE)));
    book.written(Millis(32 * MINUTE));
    book.learn(host(2), stranger(2), Millis(90 * MINUTE));
    assert_eq!(book.write_due(), Some(Millis(91 * MINUTE)));
}

#[test]
fn what_changes_nothing_in_the_file_is_no_reason_to_write() {
    let quiet = |book: &AddressBook, now| book.write_due().is_none() && !book.is_dirty(Millis(now));
    let mut book = small((0..4).map(|number| entry(number, true)).collect());
    assert!(quiet(&book, 0));
    // A peer comes and goes, without becoming one of the two best.
    for (number, ms) in [(1, 900), (0, 800), (2, 700)] {
        book.reached(host(number), Millis(5));
        book.left(host(number), Millis(5), ms);
    }
    book.failed(host(3), Millis(5), 0);
    assert!(quiet(&book, 5));
    // An address is learned and forgotten again.
    book.learn(host(9), stranger(9), Millis(6));
    assert!(!quiet(&book, 6));
    for _ in 0..3 {
        book.failed(host(9), Millis(7), 0);
    }
    assert!(quiet(&book, 7));
    // Another one is among the two best, then is not.
    book.reached(host(2), Millis(8));
    book.left(host(2), Millis(8), 150);
    assert!(!quiet(&book, 8));
    book.reached(host(0), Millis(8));
    book.left(host(0), Millis(8), 150);
    assert!(quiet(&book, 8));
    // Time alone makes one the best; seen at the end of the run.
    book.reached(host(3), Millis(10));
    assert!(quiet(&book, 10));
    assert!(book.is_dirty(Millis(10_000)));
}

#[test]
fn a_ban_holds_for_an_address_that_is_learned_later() {
    let mut book = small(vec![]);
    let (address, source) = (host(3), stranger(1));
    let place = (address.ip(), Some(address.port()));
    book.bans.add(place, Millis(0), Millis(MINUTE));
    assert!(book.learn(address, source, Millis(1)));
    assert_eq!(next(&book, MINUTE - 1), None);
    assert_eq!(book.deadline(Millis(1), |_| false), Some(Millis(MINUTE)));
    assert_eq!(next(&book, MINUTE), Some(address));
}
