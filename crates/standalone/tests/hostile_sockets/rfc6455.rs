//! Conformance with RFC 6455 after the handshake: the answers of a node to the frames of a client.
//!
//! Two answers use codes from the ranges that §7.4.2 leaves to applications: 4500 stands for 1009
//! (message too big), and 3501 for 1003 (a type of data that the endpoint cannot accept). SDKs of
//! the Centrifugal protocol reconnect after codes below 3500, see `docs/errors.md`.

mod exchange;

use exchange::{
    Answer, BINARY, CLOSE, CONTINUATION, Case, PING, PONG, TEXT, check, closing, exchange,
    frame_stating,
};
use prost::Message;
use serde_json::json;
use testing::{
    centrifugal::{encoding::Encoding, protobuf},
    websocket::masked_frame,
};

use crate::clinic::Clinic;

const TOO_LARGE: u16 = 4500;
const WRONG_TYPE: u16 = 3501;

/// The longest message that a node reads.
const MAX_MESSAGE: usize = 64 * 1024;

/// A command that the node answers by the same text.
const COMMAND: &str = r#"{"id":9,"ping":{}}"#;
/// A ping and its reply in Protobuf (`client.proto`), with their lengths in front.
const PROTOBUF_COMMAND: [u8; 5] = [4, 0x08, 9, 0x5a, 0];
const PROTOBUF_REPLY: [u8; 5] = [4, 0x08, 9, 0x62, 0];

fn reply() -> Answer {
    Answer::Text(COMMAND.to_owned())
}

fn pong(payload: &[u8]) -> Answer {
    Answer::Pong(payload.to_vec())
}

/// A final frame.
fn whole(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    masked_frame(true, opcode, payload.as_ref())
}

/// A frame that more fragments follow.
fn begun(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    masked_frame(false, opcode, payload.as_ref())
}

/// A message with one fragment for each part.
fn fragments<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    let last = parts.len() - 1;
    let frame = |(index, part): (usize, &T)| {
        let opcode = if index == 0 { TEXT } else { CONTINUATION };
        masked_frame(index == last, opcode, part.as_ref())
    };
    parts.iter().enumerate().flat_map(frame).collect()
}

#[tokio::test]
async fn fragments_make_one_message() {
    let (head, tail) = COMMAND.split_at(7);
    let bytes: Vec<_> = COMMAND.as_bytes().chunks(1).collect();
    let cases = vec![
        Case::survives("5.4", "two fragments", &[fragments(&[head, tail])], vec![reply()]),
        Case::survives("5.4", "a fragment for each byte", &[fragments(&bytes)], vec![reply()]),
        Case::survives("5.4", "an empty first", &[fragments(&["", COMMAND])], vec![reply()]),
        Case::survives("5.4", "an empty middle", &[fragments(&[head, "", tail])], vec![reply()]),
        Case::survives("5.4", "an empty last", &[fragments(&[COMMAND, ""])], vec![reply()]),
        Case::survives("5.4", "only empty ones", &[fragments(&["", "", ""])], vec![]),
        Case::survives("5.6", "an empty message", &[whole(TEXT, "")], vec![]),
        Case::survives(
            "5.4",
            "two messages one after the other",
            &[fragments(&[head, tail]), fragments(&[head, tail])],
            vec![reply(), reply()],
        ),
    ];
    check(cases).await;
}

#[tokio::test]
async fn control_frames_pass_between_fragments() {
    let (head, tail) = COMMAND.split_at(7);
    let around = |control: Vec<u8>| [begun(TEXT, head), control, whole(CONTINUATION, tail)];
    let cases = vec![
        Case::survives("5.4", "a ping", &around(whole(PING, "a")), vec![pong(b"a"), reply()]),
        Case::survives(
            "5.5.3",
            "a pong that nobody asked for",
            &around(whole(PONG, "a")),
            vec![reply()],
        ),
        Case::survives(
            "5.4",
            "pings and pongs between all fragments",
            &[
                begun(TEXT, head),
                whole(PING, "1"),
                whole(PONG, ""),
                begun(CONTINUATION, ""),
                whole(PING, "2"),
                whole(CONTINUATION, tail),
            ],
            vec![pong(b"1"), pong(b"2"), reply()],
        ),
        Case::closes("5.4", "a close", &around(closing(1001)), 1001),
    ];
    check(cases).await;
}

#[tokio::test]
async fn broken_order_of_fragments_is_an_error() {
    let cases = vec![
        Case::closes("5.4", "a continuation of nothing", &[whole(CONTINUATION, COMMAND)], 1002),
        Case::closes("5.4", "an open continuation of nothing", &[begun(CONTINUATION, "{")], 1002),
        Case::closes("5.4", "a text in a message", &[begun(TEXT, "{"), whole(TEXT, "}")], 1002),
        Case::closes("5.4", "a binary in a text", &[begun(TEXT, "{"), whole(BINARY, "}")], 1002),
        Case::closes("5.4", "a second beginning", &[begun(TEXT, "{"), begun(TEXT, "}")], 1002),
        Case::closes("5.5", "a fragmented ping", &[begun(PING, "")], 1002),
        Case::closes("5.5", "a fragmented pong", &[begun(PONG, "")], 1002),
        Case::closes("5.5", "a fragmented close", &[begun(CLOSE, [0x03, 0xe8])], 1002),
    ];
    check(cases).await;
}

#[tokio::test]
async fn ping_is_echoed_up_to_125_bytes() {
    let echoed = [0, 1, 125].map(|length| {
        // No UTF-8: the payload of a ping is any bytes.
        let payload = vec![0xff; length];
        let answers = vec![pong(&payload)];
        Case::survives("5.5.2", format!("{length} bytes"), &[whole(PING, payload)], answers)
    });
    let too_long = [PING, PONG, CLOSE].map(|opcode| {
        let frame = whole(opcode, [0x03, 0xe8].repeat(63));
        Case::closes("5.5", format!("126 bytes of opcode {opcode}"), &[frame], 1002)
    });
    check(echoed.into_iter().chain(too_long).collect()).await;
}

#[tokio::test]
async fn bits_opcodes_and_masks_are_checked() {
    // The masked example of section 5.7, as a ping.
    let masked = b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
    let unmasked = |first: u8, payload: &str| {
        [&[first, u8::try_from(payload.len()).unwrap()], payload.as_bytes()].concat()
    };
    let mut cases = vec![
        Case::survives("5.3", "a mask", &[masked], vec![pong(b"Hello")]),
        Case::closes("5.1", "a text without a mask", &[unmasked(0x81, COMMAND)], 1002),
        Case::closes("5.1", "a ping without a mask", &[unmasked(0x89, "")], 1002),
        Case::closes("5.1", "a close without a mask", &[unmasked(0x88, "")], 1002),
    ];
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [TEXT, PING, CLOSE] {
            let about = format!("the reserved bit {bit:#x} of opcode {opcode}");
            cases.push(Case::closes("5.2", about, &[whole(bit | opcode, "")], 1002));
        }
        let frames = [begun(TEXT, "{"), whole(bit | CONTINUATION, "}")];
        cases.push(Case::closes("5.2", format!("{bit:#x} of a continuation"), &frames, 1002));
    }
    for opcode in (3..=7).chain(11..=15) {
        let about = format!("the reserved opcode {opcode}");
        cases.push(Case::closes("5.2", about, &[whole(opcode, "")], 1002));
    }
    check(cases).await;
}

#[tokio::test]
async fn fragments_may_cut_a_character() {
    // Characters of two, three and four bytes.
    let note = r#"{"id":9,"ping":{},"é€😀":0}"#.as_bytes();
    let cases = (1..note.len()).map(|cut| {
        let (head, tail) = note.split_at(cut);
        let about = format!("a cut after {cut} bytes");
        Case::survives("8.1", about, &[fragments(&[head, tail])], vec![reply()])
    });
    check(cases.collect()).await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_an_error() {
    let mut cases = Vec::new();
    for (about, bytes) in [
        ("a byte that never occurs", &b"\xff"[..]),
        ("a continuation byte alone", b"\x80"),
        ("an overlong slash", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("a code point above U+10FFFF", b"\xf4\x90\x80\x80"),
        ("a character without its end", b"\xf0\x9f\x98"),
    ] {
        let parts = [&b"{\""[..], bytes, b"\":0}"];
        let text = parts.concat();
        let bytes: Vec<_> = text.chunks(1).collect();
        for (how, frames) in [
            ("in one frame", whole(TEXT, &text)),
            ("in the middle fragment", fragments(&parts)),
            ("with a fragment for each byte", fragments(&bytes)),
        ] {
            cases.push(Case::closes("8.1", format!("{about}, {how}"), &[frames], 1007));
        }
    }
    let ends_early = fragments(&[&b"{}"[..], b"\xf0\x9f"]);
    cases.push(Case::closes("8.1", "an end within a character", &[ends_early], 1007));
    let unfinished = begun(TEXT, b"{\xff");
    cases.push(Case::closes("8.1", "an error in an open message", &[unfinished], 1007));
    let interrupted = [begun(TEXT, "{"), whole(PING, "a"), whole(CONTINUATION, b"\xff")];
    let answers = vec![pong(b"a"), Answer::Close(Some(1007))];
    cases.push(Case::new("8.1", "an error after a ping", &interrupted, answers));
    check(cases).await;
}

/// The ABNF of section 5.2 lets a receiver read a length in a longer form than it needs. Only
/// senders must use the shortest.
#[tokio::test]
async fn each_length_form_is_read() {
    let length = u8::try_from(COMMAND.len()).unwrap();
    let forms = [
        ("7 bits", vec![length]),
        ("16 bits", vec![126, 0, length]),
        ("64 bits", vec![127, 0, 0, 0, 0, 0, 0, 0, length]),
    ];
    let mut cases: Vec<_> = forms
        .iter()
        .map(|(about, stated)| {
            let frame = frame_stating(0x80 | TEXT, stated, COMMAND.as_bytes());
            Case::survives("5.2", *about, &[frame.clone(), frame], vec![reply(), reply()])
        })
        .collect();
    for length in [125, 126, 127, 65_535] {
        let frame = whole(TEXT, format!("{COMMAND:length$}"));
        let about = format!("{length} bytes in the shortest form");
        cases.push(Case::survives("5.2", about, &[frame.clone(), frame], vec![reply(), reply()]));
    }
    check(cases).await;
}

#[tokio::test]
async fn impossible_lengths_are_errors() {
    let stating = |first, length: u64| {
        frame_stating(first, &[&[127][..], &length.to_be_bytes()].concat(), &[])
    };
    let cases = vec![
        Case::closes("5.2", "the high bit of 64", &[stating(0x80 | TEXT, 1 << 63)], 1002),
        Case::closes("5.2", "all bits of 64", &[stating(0x80 | BINARY, u64::MAX)], 1002),
        Case::closes("5.5", "a ping of 64 bits", &[stating(0x80 | PING, 1 << 20)], 1002),
        Case::closes("5.5", "a close of the high bit", &[stating(0x80 | CLOSE, 1 << 63)], 1002),
    ];
    check(cases).await;
}

#[tokio::test]
async fn message_past_the_limit_closes() {
    let stating = |length: usize, payload: &str| {
        let length = [&[127][..], &(length as u64).to_be_bytes()].concat();
        frame_stating(0x80 | TEXT, &length, payload.as_bytes())
    };
    let longest = COMMAND.to_owned() + &" ".repeat(MAX_MESSAGE - COMMAND.len());
    let longer = format!("{longest} ");
    let (head, tail) = longest.split_at(MAX_MESSAGE / 2);
    let cases = vec![
        Case::survives("10.4", "the limit", &[stating(MAX_MESSAGE, &longest)], vec![reply()]),
        Case::survives("10.4", "the limit in two", &[fragments(&[head, tail])], vec![reply()]),
        Case::closes("10.4", "a byte more", &[stating(longer.len(), &longer)], TOO_LARGE),
        Case::closes("10.4", "a byte more in three", &[fragments(&[head, tail, " "])], TOO_LARGE),
        Case::closes("10.4", "the longest length", &[stating(i64::MAX as usize, "")], TOO_LARGE),
    ];
    check(cases).await;
}

#[tokio::test]
async fn close_of_a_client_is_answered() {
    // 1012 and 1013 were registered at IANA later (section 11.7).
    let valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013];
    let free = [3000, 3999, 4000, 4999];
    let echoed = valid
        .into_iter()
        .chain(free)
        .map(|code| Case::closes("5.5.1", format!("the code {code}"), &[closing(code)], code));
    let never = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
    let refused = never
        .into_iter()
        .map(|code| Case::closes("7.4", format!("the code {code}"), &[closing(code)], 1002));
    let with = |reason: &[u8]| whole(CLOSE, [&[0x03, 0xe8], reason].concat());
    let longest = "\u{e9}".repeat(61) + "!";
    let bodies = vec![
        Case::new("5.5.1", "no body", &[whole(CLOSE, "")], vec![Answer::Close(None)]),
        Case::closes("5.5.1", "a body of one byte", &[whole(CLOSE, [3])], 1002),
        Case::closes("5.5.1", "a reason", &[with("à bientôt".as_bytes())], 1000),
        Case::closes("5.5", "a reason of 123 bytes", &[with(longest.as_bytes())], 1000),
        Case::closes("8.1", "a reason that is no UTF-8", &[with(b"\xff")], 1007),
        Case::closes("8.1", "a reason that ends in a character", &[with(b"\xc3")], 1007),
    ];
    check(echoed.chain(refused).chain(bodies).collect()).await;
}

/// Sections 1.4 and 7.1.7: data after a close is discarded.
#[tokio::test]
async fn nothing_after_a_close_is_answered() {
    let after = [whole(TEXT, COMMAND), whole(PING, "a"), closing(1001), whole(3, "")].concat();
    let cases = vec![
        Case::closes("1.4", "after a close", &[closing(1000), after.clone()], 1000),
        Case::closes("5.5.1", "after an invalid close", &[closing(1005), after.clone()], 1002),
        Case::closes("7.1.7", "after an error", &[whole(3, ""), after.clone()], 1002),
        Case::closes("7.1.7", "after a wrong text", &[whole(TEXT, b"\xff"), after], 1007),
        Case::new(
            "7.1.7",
            "an error after a command",
            &[whole(TEXT, COMMAND), whole(3, "")],
            vec![reply(), Answer::Close(Some(1002))],
        ),
    ];
    check(cases).await;
}

#[tokio::test]
async fn data_of_the_other_type_closes() {
    let (head, tail) = COMMAND.split_at(7);
    let cases = vec![
        Case::closes("7.4.1", "a binary", &[whole(BINARY, COMMAND)], WRONG_TYPE),
        Case::closes(
            "7.4.1",
            "a binary in fragments",
            &[begun(BINARY, head), whole(CONTINUATION, tail)],
            WRONG_TYPE,
        ),
        Case::closes("5.6", "a binary that is no UTF-8", &[whole(BINARY, b"\xff")], WRONG_TYPE),
    ];
    check(cases).await;
}

#[tokio::test]
async fn protobuf_needs_binary_frames() {
    let clinic = Clinic::start().await;
    let token = clinic.token("reception", &json!({}));
    let connect = protobuf::ConnectRequest { token, ..Default::default() };
    let connect = protobuf::Command { id: 1, connect: Some(connect), subscribe: None };
    let connect = connect.encode_length_delimited_to_vec();
    let closed = Answer::Close(Some(WRONG_TYPE));
    let (head, tail) = PROTOBUF_COMMAND.split_at(2);
    for (about, frames, answers) in [
        (
            "a binary in fragments",
            [begun(BINARY, head), whole(CONTINUATION, tail), closing(1000)].concat(),
            vec![Answer::Binary(PROTOBUF_REPLY.to_vec()), Answer::Close(Some(1000))],
        ),
        ("a command as a text", whole(TEXT, PROTOBUF_COMMAND), vec![closed]),
    ] {
        let socket = clinic.open_with(Encoding::Protobuf).await.into_tcp();
        let bytes = [whole(BINARY, &connect), frames].concat();
        let heard = exchange(socket, std::iter::once(&bytes[..])).await;
        assert!(matches!(heard[0], Answer::Binary(_)), "{about}: {heard:?}");
        assert_eq!(heard[1..], answers, "{about}");
    }
    clinic.stop().await;
}
