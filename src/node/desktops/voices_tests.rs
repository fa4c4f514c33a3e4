use super::*;

const D: &str = "10.0.0.9:6000";
const E: &str = "10.0.0.8:6000";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub fn voice(id: u64, count: u64, desktops: &[&str]) -> Voice {
    Voice {
        id,
        age: 0,
        count,
        healthy: true,
        desktops: desktops.iter().map(|text| at(text)).collect(),
        made: Vec::new(),
    }
}

/// One that is connected to these, and knows of nobody.
fn one(id: u64, desktops: &[&str]) -> Voices {
    let mut voices = Voices::new(id);
    own(&mut voices, 0, desktops);
    voices
}

fn own(voices: &mut Voices, now: u64, desktops: &[&str]) -> bool {
    let desktops = in_order(voice(0, 0, desktops).desktops);
    voices.set_own(Millis(now), desktops, true)
}

/// One tells the other; whether that is news.
fn tell(now: u64, from: &Voices, to: &mut Voices) -> bool {
    let told = from.told(Millis(now));
    to.hear(Millis(now), from.own.id, &told)
}

/// Each in the row tells its neighbours until nobody has news; the number of rounds.
fn spread(now: u64, row: &mut [Voices]) -> usize {
    let mut rounds = 0;
    loop {
        let mut news = false;
        for at in 1..row.len() {
            let (left, right) = row.split_at_mut(at);
            let (left, right) = (&mut left[at - 1], &mut right[0]);
            news |= tell(now, left, right);
            news |= tell(now, right, left);
        }
        if !news {
            return rounds;
        }
        rounds += 1;
        assert!(rounds < 10, "it goes round for ever");
    }
}

fn speakers(now: u64, row: &[Voices]) -> Vec<u64> {
    let speaking = row.iter().filter(|v| v.speaks(Millis(now), at(D)));
    speaking.map(|voices| voices.own.id).collect()
}

#[test]
fn alone_it_speaks_at_once_and_to_nobody_that_it_is_not_connected_to() {
    let voices = one(7, &[D]);
    assert!(voices.speaks(Millis(0), at(D)));
    assert!(!voices.speaks(Millis(0), at(E)));
    assert_eq!(voices.deadline(Millis(0)), None);
}

#[test]
fn of_a_row_the_lowest_speaks_and_the_next_when_that_has_left() {
    let mut row = [one(3, &[D]), one(9, &[]), one(5, &[D]), one(4, &[E])];
    spread(0, &mut row);
    assert_eq!(speakers(2_000, &row), [3]);
    assert!(row[3].speaks(Millis(2_000), at(E)));
    assert!(own(&mut row[0], 3_000, &[]));
    spread(3_000, &mut row);
    assert_eq!(speakers(3_000, &row), [0; 0], "who spoke may not know yet");
    own(&mut row[2], 5_000, &[D]);
    assert_eq!(speakers(5_000, &row), [5]);
    assert!(own(&mut row[0], 6_000, &[D]));
    spread(6_000, &mut row);
    assert_eq!(speakers(6_000, &row), [0; 0]);
    assert_eq!(speakers(8_000, &row), [3]);
}

#[test]
fn counts_are_no_news_and_keep_alive() {
    let mut row = [one(3, &[D]), one(9, &[]), one(5, &[D])];
    spread(0, &mut row);
    for now in (0..300_000).step_by(10_000) {
        for voices in &mut row {
            let desktops = voices.own.desktops.clone();
            assert!(!voices.set_own(Millis(now), desktops, true));
        }
        assert_eq!(spread(now, &mut row), 0);
    }
    assert_eq!(speakers(290_000, &row), [3]);
}

#[test]
fn who_is_silent_is_replaced_and_stays_forgotten_although_others_tell_of_him() {
    let [a, mut b, mut c] = [one(3, &[D]), one(9, &[D]), one(15, &[])];
    assert!(tell(0, &a, &mut b));
    // The end of the row hears of it later, and believes in it for no longer.
    assert!(tell(40_000, &b, &mut c));
    assert!(!tell(40_000, &c, &mut b));
    assert_eq!(b.deadline(Millis(40_000)), Some(Millis(45_000)));
    own(&mut b, 45_000, &[D]);
    assert_eq!(b.deadline(Millis(45_000)), Some(Millis(47_000)));
    for now in (46_000..200_000).step_by(1_000) {
        own(&mut b, now, &[D]);
        own(&mut c, now, &[]);
        tell(now, &c, &mut b);
        tell(now, &b, &mut c);
        assert_eq!(b.speaks(Millis(now), at(D)), now >= 47_000, "{now}");
        let told = c.told(Millis(now)).len();
        assert_eq!(told, 2, "{now}");
    }
    // What it says when it is there again counts.
    let mut a = a;
    own(&mut a, 200_000, &[D]);
    assert!(tell(200_000, &a, &mut b));
    assert!(!b.speaks(Millis(200_000), at(D)));
}

#[test]
fn the_end_of_a_connection_is_passed_on_and_overruled_by_who_lives() {
    let mut row = [one(3, &[D]), one(9, &[]), one(5, &[D])];
    spread(0, &mut row);
    assert!(row[1].lost(Millis(10_000), 3));
    assert!(!row[1].lost(Millis(10_000), 3), "once");
    spread(10_000, &mut row[1..]);
    own(&mut row[2], 12_000, &[D]);
    assert!(row[2].speaks(Millis(12_000), at(D)));
    // It lives, and hears what is said of it: it is news to all again, over both parts of the way.
    let (first, rest) = row.split_at_mut(1);
    assert!(tell(20_000, &rest[0], &mut first[0]));
    spread(20_000, &mut row);
    assert!(!row[2].speaks(Millis(20_000), at(D)));
    assert_eq!(speakers(20_000, &row), [3]);
}

#[test]
fn two_that_lose_the_same_one_say_the_same() {
    let mut row = [one(3, &[D]), one(9, &[]), one(5, &[D])];
    spread(0, &mut row);
    let [_, b, c] = &mut row;
    assert!(b.lost(Millis(1_000), 3) && c.lost(Millis(1_000), 3));
    assert!(!tell(1_000, b, c) && !tell(1_000, c, b));
    assert!(!b.lost(Millis(1_000), 77), "who was never there");
}

#[test]
fn a_restart_is_somebody_else() {
    let mut row = [one(3, &[D]), one(9, &[D])];
    spread(0, &mut row);
    row[1].lost(Millis(5_000), 3);
    row[0] = one(20, &[D]);
    spread(5_500, &mut row);
    own(&mut row[1], 8_000, &[D]);
    assert_eq!(speakers(8_000, &row), [9]);
}

#[test]
fn who_has_started_again_ends_what_is_still_told_of_the_start_before() {
    let life = |drawn: u64| drawn << 32 | 7;
    let mut row = [one(life(0), &[D]), one(9, &[D]), one(10, &[])];
    spread(0, &mut row);
    // Whoever was connected to it has started again too.
    row[1] = one(1 << 32 | 9, &[D]);
    row[0] = one(life(2), &[D]);
    spread(20_000, &mut row[1..]);
    assert_eq!(speakers(22_000, &row[1..]), [0; 0]);
    spread(22_000, &mut row);
    own(&mut row[1], 24_000, &[D]);
    assert_eq!(speakers(24_000, &row), [1 << 32 | 9]);
    let told = row[2].told(Millis(24_000));
    let before = told.iter().find(|voice| voice.id == life(0));
    let before = before.expect("who would come back at once");
    assert_eq!((before.count % 2, before.desktops.len()), (1, 0));
}

#[test]
fn of_two_with_the_same_key_both_stay() {
    let (first, second) = (1 << 32 | 7, 2 << 32 | 7);
    let mut row = [one(first, &[D]), one(9, &[]), one(second, &[D])];
    spread(0, &mut row);
    spread(1_000, &mut row);
    own(&mut row[0], 4_000, &[D]);
    assert_eq!(speakers(4_000, &row), [first]);
    for voices in &row {
        let mut told = voices.told(Millis(4_000)).into_iter();
        assert!(
            told.all(|voice| voice.count % 2 == 0 && !voice.desktops.is_empty() || voice.id == 9)
        );
    }
}

#[test]
fn who_is_ill_for_a_while_gives_its_turn_away_and_keeps_it_if_all_are() {
    let mut row = [one(3, &[D]), one(9, &[D])];
    spread(0, &mut row);
    let ill = |row: &mut [Voices], at_ms: u64| row[0].set_own(Millis(at_ms), vec![at(D)], false);
    assert!(!ill(&mut row, 5_000));
    assert_eq!(row[0].deadline(Millis(5_000)), Some(Millis(8_000)));
    assert!(ill(&mut row, 8_000));
    spread(8_000, &mut row);
    own(&mut row[1], 10_000, &[D]);
    assert_eq!(speakers(10_000, &row), [9]);
    for now in [11_000, 14_000] {
        row[1].set_own(Millis(now), vec![at(D)], false);
    }
    spread(14_000, &mut row);
    assert_eq!(speakers(16_000, &row), [3]);
    // Back in health for a moment, it is so at once.
    assert!(own(&mut row[1], 17_000, &[D]));
}

#[test]
fn who_was_stopped_is_silent_until_it_has_heard_all_that_it_is_connected_to() {
    let mut row = [one(9, &[D]), one(3, &[D]), one(5, &[])];
    spread(0, &mut row);
    assert_eq!(speakers(2_000, &row), [3]);
    let before = row[0].told(Millis(3_000));
    row[1].stalled(Millis(30_000));
    own(&mut row[1], 30_000, &[D]);
    assert_eq!(speakers(35_000, &row), [0; 0]);
    // What was said before the stop says nothing, and one neighbour is not all of them.
    row[1].hear(Millis(30_000), 9, &before);
    let [a, b, c] = &mut row;
    tell(30_100, b, a);
    tell(30_100, a, b);
    assert!(!own(b, 30_200, &[D]));
    assert!(b.stall.is_some());
    tell(30_300, b, c);
    tell(30_300, c, b);
    assert!(b.stall.is_none());
    assert!(own(b, 30_400, &[D]), "in health again");
    assert!(!b.speaks(Millis(30_400), at(D)));
    spread(30_400, &mut row);
    assert_eq!(speakers(33_000, &row), [3]);
}

#[test]
fn who_was_stopped_and_hears_nobody_speaks_after_a_while() {
    let mut voices = one(3, &[D]);
    voices.hear(Millis(0), 9, &[voice(9, 0, &[D])]);
    voices.stalled(Millis(100_000));
    own(&mut voices, 100_000, &[D]);
    assert_eq!(voices.deadline(Millis(100_000)), Some(Millis(112_000)));
    own(&mut voices, 112_000, &[D]);
    assert!(voices.speaks(Millis(112_000), at(D)));
}

#[test]
fn what_others_tell_of_us_changes_nothing_but_that_we_speak_up() {
    let mut voices = one(3, &[D]);
    let count = voices.own.count;
    for (said, news) in [
        (0, false),
        (count, false),
        (count + 2, false),
        (u64::MAX, false),
    ] {
        assert_eq!(voices.hear(Millis(0), 9, &[voice(3, said, &[])]), news);
        assert!(voices.speaks(Millis(0), at(D)));
    }
    assert!(voices.hear(Millis(0), 9, &[voice(3, count + 1, &[])]));
    assert_eq!(voices.own.count, count + 2);
}

#[test]
fn memory_is_bounded_and_who_tells_of_himself_has_room() {
    let mut voices = one(5_000, &[D]);
    let many: Vec<Voice> = (0..100).map(|id| voice(id, 1, &[E])).collect();
    for some in many.chunks(10) {
        voices.hear(Millis(0), 1_000_000, some);
    }
    assert_eq!(voices.told(Millis(0)).len(), limits::VOICES);
    for id in 2_000..2_040 {
        voices.hear(Millis(1), id, &[voice(id, 1, &[D])]);
    }
    let told = voices.told(Millis(1));
    assert_eq!((told.len(), told[0].id), (limits::VOICES, 5_000));
    assert!(told[1..].iter().all(|voice| voice.id >= 2_000));
    // The greatest count cannot be overruled; it is forgotten like any other.
    voices.hear(Millis(2), 2_000, &[voice(2_000, u64::MAX, &[D])]);
    assert!(voices.lost(Millis(3), 2_000));
    let addresses: Vec<String> = (0..100).map(|n| format!("10.0.1.{n}:1")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    own(&mut voices, 10, &addresses);
    assert_eq!(
        voices.told(Millis(10))[0].desktops.len(),
        limits::VOICE_DESKTOPS
    );
}
