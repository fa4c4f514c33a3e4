use super::*;

/// A frame that owns its text.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Message(String),
    Element(String),
    End(String),
    Broken,
    Error(FrameError),
}
use Piece::{Broken, Element, End, Error, Message};

/// Takes whatever has arrived.
fn take(reader: &mut Reader, pieces: &mut Vec<Piece>) {
    let own = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    while let Some(frame) = reader.next() {
        pieces.push(match frame {
            Ok(Frame::Message(text)) => Message(own(text)),
            Ok(Frame::ChainElement(text)) => Element(own(text)),
            Ok(Frame::ChainEnd(text)) => End(own(text)),
            Ok(Frame::ChainBroken) => Broken,
            Ok(Frame::Skipped) => unreachable!("nothing is skipped here"),
            Err(error) => Error(error),
        });
    }
    assert!(!reader.waiting());
}

/// Puts as many bytes into the space lent as go there.
fn put_some(reader: &mut Reader, text: &[u8]) -> usize {
    let space = reader.space();
    let count = space.len().min(text.len());
    space[..count].copy_from_slice(&text[..count]);
    reader.received(count);
    count
}

fn put(reader: &mut Reader, text: &[u8]) {
    assert_eq!(put_some(reader, text), text.len());
}

fn pieces(text: &[u8], chop: usize) -> Vec<Piece> {
    let (mut reader, mut pieces) = (Reader::default(), Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        let count = put_some(&mut reader, &rest[..chop.min(rest.len())]);
        if count == 0 {
            assert!(matches!(pieces.last(), Some(Error(_))));
            break;
        }
        rest = &rest[count..];
        take(&mut reader, &mut pieces);
    }
    pieces
}

fn check(text: &str, expected: &[Piece]) {
    for chop in [1, 2, 3, 7, READ_BYTES_MAX] {
        assert_eq!(pieces(text.as_bytes(), chop), expected, "{chop}: {text}");
    }
}

fn message(text: &str) -> Piece {
    Message(text.into())
}
fn element(text: &str) -> Piece {
    Element(text.into())
}
fn end(text: &str) -> Piece {
    End(text.into())
}

#[test]
fn lines_end_in_either_way_and_blank_ones_are_swallowed() {
    check(
        "\n\r\n  \r\n{\"a\": 1}\r\n \n{\"b\": \"\\n{\"}\nx",
        &[message("{\"a\": 1}"), message("{\"b\": \"\\n{\"}")],
    );
}

#[test]
fn a_chain_is_cut_wherever_it_stands_in_its_line() {
    check(
        "{\"type\": \"chain_response\", \"payload\": {\"chain\": [{\"i\": 0}, {\"i\": [1, {}]}], \
         \"length\": 2}, \"sender\": \"h:1\"}\n[]\n",
        &[
            element("{\"i\": 0}"),
            element("{\"i\": [1, {}]}"),
            end(
                "{\"type\": \"chain_response\", \"payload\": {\"chain\": [], \"length\": 2}, \
                 \"sender\": \"h:1\"}",
            ),
            message("[]"),
        ],
    );
    check(
        " {\t\"x\":{\"chain\":[1],\"payload\":{\"chain\":[2]}} ,\"payload\" : \r{ \"y\":[\"chain\",[3]],\
         \"chain\" :[ ] } ,\"type\":\"chain_response\"}\r\n",
        &[end(
            " {\t\"x\":{\"chain\":[1],\"payload\":{\"chain\":[2]}} ,\"payload\" : \r{ \
             \"y\":[\"chain\",[3]],\"chain\" :[] } ,\"type\":\"chain_response\"}",
        )],
    );
}

#[test]
fn an_element_may_be_any_value() {
    check(
        "{\"payload\":{\"chain\":[ 1 ,-2e5,null, \"],\\\"\\\\\" ,[[\"]\"]],{\"}\":\"\\\\\"},true]}}\n",
        &[
            element("1"),
            element("-2e5"),
            element("null"),
            element("\"],\\\"\\\\\""),
            element("[[\"]\"]]"),
            element("{\"}\":\"\\\\\"}"),
            element("true"),
            end("{\"payload\":{\"chain\":[]}}"),
        ],
    );
}

#[test]
fn an_element_is_handed_out_with_its_last_byte() {
    let mut reader = Reader::default();
    let mut pieces = Vec::new();
    put(&mut reader, b"{\"payload\": {\"chain\": [{\"i\": \"x\"}");
    take(&mut reader, &mut pieces);
    assert_eq!(pieces, [element("{\"i\": \"x\"}")]);
    assert!(reader.mid_line());
}

#[test]
fn what_is_no_chain_is_a_line() {
    for line in [
        "{\"chain\": [1], \"payload\": {}}",
        "{\"payload\": {\"chain\": {\"chain\": [1]}}}",
        "{\"payload\": [\"chain\", [1]]}",
        "[{\"payload\": {\"chain\": [1]}}]",
        "{\"payload\": {\"ch\\u0061in\": [1]}}",
        "{\"payload\": {\"\\\"chain\": [1]}}",
        "{\"payload\": {\"chain, longer than sixteen bytes\": [1]}}",
        "{\"payload\": {\"a\": \"chain\", \"b\": [1]}}",
        "{\"a\": \"payload\", \"b\": {\"chain\": [1]}}",
        "{\"payload\": {\"chain\": 1, \"b\": [1]}}",
        "{\"payload\": 1, \"b\": {\"chain\": [1]}}",
        "{\"type\": \"ping\", \"payload\": {\"chain\": [1]}}",
        "}}]]{\"payload\"",
    ] {
        check(&format!("{line}\n"), &[message(line)]);
    }
}

#[test]
fn only_a_type_that_is_certainly_another_hides_a_chain() {
    for kind in [
        "chain_response",
        "ch\\u0061in_response",
        "chain_respons\\u0065",
    ] {
        let line = format!("{{\"type\": \"{kind}\", \"payload\": {{\"chain\": [");
        let expected = end(&format!("{line}]}}}}"));
        check(&format!("{line}1]}}}}\n"), &[element("1"), expected]);
    }
}

#[test]
fn a_broken_chain_is_void_and_the_next_line_is_read() {
    for (broken, handed_out) in [
        ("[1 2]}}", 1),
        ("[1,,2]}}", 1),
        ("[,1]}}", 0),
        ("[1,]}}", 1),
        ("[{} {}]}}", 1),
        ("[{}\"\"]}}", 1),
        ("[", 0),
        ("[ {}", 1),
        ("[{}, ", 1),
        ("[\"a", 0),
        ("[{\"a\": [1, ", 0),
        ("[12", 0),
    ] {
        let text = format!("{{\"payload\": {{\"chain\": {broken}\n{{}}\n");
        for chop in [1, 5, 1000] {
            let found = pieces(text.as_bytes(), chop);
            let elements = found.iter().filter(|p| matches!(p, Element(_))).count();
            assert_eq!(elements, handed_out, "{broken}: {found:?}");
            assert_eq!(found.last(), Some(&message("{}")), "{broken}: {found:?}");
            let broken_off = found.iter().filter(|p| **p == Broken).count();
            assert_eq!(broken_off, 1, "{broken}: {found:?}");
        }
    }
}

#[test]
fn brackets_that_do_not_match_are_left_to_the_reading_of_their_element() {
    check(
        "{\"payload\": {\"chain\": [[{]}, 1:2]}}\n",
        &[
            element("[{]}"),
            element("1:2"),
            end("{\"payload\": {\"chain\": []}}"),
        ],
    );
}

#[test]
fn nothing_of_a_broken_line_leaks_into_the_next() {
    for broken in [
        "{\"payload\": {\"chain",
        "{\"payload\": {\"chain\":",
        "{\"payload\": {\"chain\": [[\"",
        "{{{[\"\\",
        "{\"type\": \"ping\", \"payload\": {}}",
        "{\"payload\":",
    ] {
        for (line, cut) in [
            ("{\"payload\": {\"chain\": [1]}}", true),
            ("{\"a\": {\"chain\": [1]}}", false),
            ("{\"a\": {\"b\": [1]}}", false),
        ] {
            let found = pieces(format!("{broken}\n{line}\n").as_bytes(), 1);
            let expected = match cut {
                true => end("{\"payload\": {\"chain\": []}}"),
                false => message(line),
            };
            assert_eq!(found.last(), Some(&expected), "{broken}: {found:?}");
        }
    }
}

#[test]
fn a_candidate_that_failed_is_skipped_to_the_next_line() {
    let line = b"{\"payload\": {\"chain\": [1, {\"x\": \"y\"}, 3], \"length\": 3}}\n{\"a\": 1}\n";
    for chop in [1, 4, 1000] {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        for part in line.chunks(chop) {
            put(&mut reader, part);
            while let Some(frame) = reader.next() {
                match frame.expect("short") {
                    Frame::ChainElement(text) => {
                        found.push(text.to_vec());
                        reader.skip_line();
                        assert!(reader.mid_line() && reader.is_skipping());
                    }
                    Frame::Skipped => found.push(b"end".to_vec()),
                    Frame::Message(text) => {
                        found.push(text.to_vec());
                        // Between lines there is nothing to skip.
                        reader.skip_line();
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(found, [&b"1"[..], b"end", b"{\"a\": 1}"]);
        assert!(!reader.mid_line());
    }
}

#[test]
fn skipping_at_a_lines_end_spares_the_next() {
    let mut reader = Reader::default();
    put(&mut reader, b"{\"payload\": {\"chain\": []}}\n{}\n");
    assert!(matches!(reader.next(), Some(Ok(Frame::ChainEnd(_)))));
    reader.skip_line();
    assert_eq!(reader.next(), Some(Ok(Frame::Message(b"{}"))));
}

#[test]
fn the_middle_of_a_line_is_known() {
    let mut reader = Reader::default();
    let mut pieces = Vec::new();
    assert!(!reader.mid_line());
    for (text, inside) in [
        (&b"{"[..], true),
        (b"}\n", false),
        (b"{\"payload\": {\"chain\": [1, ", true),
        (b"]\n", false),
        (b"\n", false),
    ] {
        put(&mut reader, text);
        take(&mut reader, &mut pieces);
        assert_eq!(reader.mid_line(), inside, "{text:?}");
    }
}

/// A line of `length` bytes.
fn line(length: usize) -> String {
    format!("{{\"a\": \"{}\"}}", "x".repeat(length - 9))
}

#[test]
fn the_limit_of_a_line_is_exact() {
    for end in ["\n", "\r\n"] {
        let longest = line(MESSAGE_TEXT_MAX);
        check_long(
            &format!("{longest}{end}{{}}\n"),
            &[message(&longest), message("{}")],
        );
        let too_long = line(MESSAGE_TEXT_MAX + 1);
        check_long(
            &format!("{too_long}{end}{{}}\n"),
            &[Error(FrameError::MESSAGE)],
        );
    }
    check_long(
        &"x".repeat(MESSAGE_TEXT_MAX + 2),
        &[Error(FrameError::MESSAGE)],
    );

    // The carriage return of the longest line is the last byte that is there.
    let longest = line(MESSAGE_TEXT_MAX);
    let mut reader = Reader::default();
    let mut found = Vec::new();
    for part in [format!("{longest}\r").as_bytes(), b"\n"] {
        let mut rest = part;
        while !rest.is_empty() {
            let count = put_some(&mut reader, rest);
            assert!(count > 0);
            rest = &rest[count..];
            take(&mut reader, &mut found);
        }
    }
    assert!(found == [message(&longest)]);
}

#[test]
fn the_limit_of_an_element_is_exact() {
    let chain = |item: &str| format!("{{\"payload\":{{\"chain\":[{item},{item}]}}}}\n");
    let longest = line(MESSAGE_TEXT_MAX);
    check_long(
        &chain(&longest),
        &[
            element(&longest),
            element(&longest),
            end("{\"payload\":{\"chain\":[]}}"),
        ],
    );
    let too_long = line(MESSAGE_TEXT_MAX + 1);
    check_long(&chain(&too_long), &[Error(FrameError::ELEMENT)]);
    check_long(
        &chain(&"1".repeat(MESSAGE_TEXT_MAX + 1)),
        &[Error(FrameError::ELEMENT)],
    );

    let endless = format!(
        "{{\"payload\":{{\"chain\":[\"{}",
        "x".repeat(2 * MESSAGE_TEXT_MAX)
    );
    check_long(&endless, &[Error(FrameError::ELEMENT)]);
}

#[test]
fn the_limit_of_the_text_around_a_chain_is_exact() {
    let around = |front: usize, back: usize| {
        let (front, back) = (" ".repeat(front), " ".repeat(back));
        format!("{{\"payload\":{{\"chain\":{front}[1]{back}}}}}")
    };
    let room = ENVELOPE_TEXT_MAX - around(0, 0).len() + 1;
    for (front, back) in [(room, 0), (0, room), (room / 2, room - room / 2)] {
        let text = around(front, back);
        let empty = end(&text.replace('1', ""));
        check_long(&format!("{text}\n"), &[element("1"), empty]);
    }
    check_long(
        &format!("{}\n", around(0, room + 1)),
        &[element("1"), Error(FrameError::ENVELOPE)],
    );
    check_long(
        &around(ENVELOPE_TEXT_MAX, 0),
        &[Error(FrameError::ENVELOPE)],
    );
}

fn check_long(text: &str, expected: &[Piece]) {
    for chop in [1000, READ_BYTES_MAX - 1, READ_BYTES_MAX] {
        let found = pieces(text.as_bytes(), chop);
        // Not assert_eq: a megabyte of text helps nobody.
        assert!(found == expected, "{chop}: {} pieces", found.len());
    }
}

#[test]
fn after_an_error_there_is_nothing() {
    let mut reader = Reader::default();
    while reader.next().is_none() {
        let space = reader.space();
        assert!(!space.is_empty());
        let count = space.len();
        space.fill(b'x');
        reader.received(count);
    }
    assert!(reader.space().is_empty());
    assert_eq!(reader.next(), None);
    reader.skip_line();
    assert!(reader.space().is_empty());
}

#[test]
fn a_long_chain_passes_through_a_corner_of_the_buffer() {
    let block = format!("{{\"index\": 1, \"x\": \"{}\"}}", "y".repeat(500));
    let mut text = b"{\"type\": \"chain_response\", \"payload\": {\"chain\": [".to_vec();
    let (mut reader, mut count, mut furthest) = (Reader::default(), 0, 0);
    for _ in 0..100_000 {
        text.extend_from_slice(block.as_bytes());
        text.extend_from_slice(b",   ");
        while text.len() >= READ_BYTES_MAX {
            let part: Vec<u8> = text.drain(..READ_BYTES_MAX).collect();
            put(&mut reader, &part);
            furthest = furthest.max(reader.end);
            while let Some(frame) = reader.next() {
                assert_eq!(frame, Ok(Frame::ChainElement(block.as_bytes())));
                count += 1;
            }
        }
    }
    assert!(count > 99_900);
    assert!(furthest < 2 * READ_BYTES_MAX, "{furthest}");
}

#[test]
fn no_space_is_lent_while_frames_wait() {
    let mut reader = Reader::default();
    put(&mut reader, b"{}\n{\"a\": 1}\n");
    assert!(reader.waiting() && reader.space().is_empty());
    assert_eq!(reader.next(), Some(Ok(Frame::Message(b"{}"))));
    assert!(reader.waiting() && reader.space().is_empty());
    assert_eq!(reader.next(), Some(Ok(Frame::Message(b"{\"a\": 1}"))));
    assert!(!reader.waiting());
    assert_eq!(reader.space().len(), READ_BYTES_MAX);
}

#[test]
fn a_buffer_grows_with_a_long_line_and_shrinks_behind_it() {
    let line = format!("\"{}\"\n", "x".repeat(MESSAGE_TEXT_MAX - 2));
    let mut reader = Reader::default();
    assert!(reader.exchange(Reader::buffer()).is_empty());
    for _ in 0..3 {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            let space = reader.space();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            reader.received(count);
            match reader.next() {
                Some(frame) => assert_eq!(frame, Ok(Frame::Message(line.trim_end().as_bytes()))),
                None => assert!(!rest.is_empty()),
            }
            assert!(reader.buffer.capacity() <= BUFFER_BYTES);
        }
        assert!(reader.buffer.capacity() > MESSAGE_TEXT_MAX / 2);
        assert!(reader.next().is_none());
        assert!(!reader.space().is_empty());
        assert!(reader.buffer.capacity() <= BUFFER_BYTES_SHORT);
    }
    let lent = reader.exchange(Vec::new());
    assert!(lent.is_empty() && lent.capacity() == BUFFER_BYTES_SHORT);
}
