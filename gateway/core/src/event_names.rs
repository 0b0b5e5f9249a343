//! Escapes in the names of Socket.IO events. socketioxide borrows the name from its packet, and
//! ends the session of a client whose name has an escape, since it cannot be borrowed. No method
//! has one, so two question marks replace each escape: the event is then one of an unknown method.

use crate::frame_meter::FramePiece;

/// Bytes of the mask, before the payload.
const MASK: u64 = 4;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
/// Kinds of frames from this on are no messages.
const CONTROL: u8 = 8;
/// Separates the packets in the body of a request (Engine.IO protocol 4).
const SEPARATOR: u8 = 0x1e;
const REPLACEMENT: u8 = b'?';

/// Replaces the escapes in the names of one client's events, in the bytes that pass by.
#[derive(Default)]
pub struct EventNames {
    place: Place,
    mask: [u8; MASK as usize],
}

/// Where in a packet the next byte is.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The type of Engine.IO.
    #[default]
    Engine,
    /// The type of Socket.IO.
    Kind,
    /// The namespace, the number of the acknowledgement, and the bracket before the name.
    Head,
    /// Between the bracket and the name.
    Open,
    Name,
    /// Behind a backslash of the name.
    Escaped,
    /// Behind the name, or in a packet without one.
    Rest,
}

impl EventNames {
    /// Passes the body of a request, which follows that of the last call.
    pub fn pass_body(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            match *byte {
                SEPARATOR => self.place = Place::Engine,
                plain => *byte = self.pass(plain),
            }
        }
    }

    /// Passes bytes of a frame of the client.
    pub fn pass_frame(&mut self, piece: FramePiece, bytes: &mut [u8]) {
        match piece.opcode {
            CONTROL.. => return,
            CONTINUATION => {}
            TEXT if piece.at > 0 => {}
            TEXT => self.place = Place::Engine,
            _ => self.place = Place::Rest,
        }
        for (byte, at) in bytes.iter_mut().zip(piece.at..) {
            let place = (at % MASK) as usize;
            if at < MASK {
                self.mask[place] = *byte;
            } else if self.place == Place::Rest {
                return;
            } else {
                let mask = self.mask[place];
                *byte = self.pass(*byte ^ mask) ^ mask;
            }
        }
    }

    /// The byte that stands in the place of this one.
    fn pass(&mut self, byte: u8) -> u8 {
        use Place::{Engine, Escaped, Head, Kind, Name, Open, Rest};
        let (next, passed) = match (self.place, byte) {
            (Engine, b'4') => (Kind, byte),
            // An event, without and with attachments.
            (Kind, b'2' | b'5') | (Head, ..b'[' | b'\\'..) => (Head, byte),
            (Head, b'[') | (Open, b' ' | b'\t' | b'\n' | b'\r') => (Open, byte),
            (Open, b'"') => (Name, byte),
            (Name, b'\\') => (Escaped, REPLACEMENT),
            (Name, b'"') => (Rest, byte),
            (Name, _) => (Name, byte),
            (Escaped, _) => (Name, REPLACEMENT),
            _ => (Rest, byte),
        };
        self.place = next;
        passed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{frame_meter::FrameMeter, rate::Micros};

    const PACKETS: [(&str, &str); 10] = [
        (r#"420["na\"me",{"a":"\n"}]"#, r#"420["na??me",{"a":"\n"}]"#),
        (r#"42["\u0073ubscribe"]"#, r#"42["??0073ubscribe"]"#),
        (r#"42/a,7[ "\\",1]"#, r#"42/a,7[ "??",1]"#),
        (
            r#"451-["a\\\"b",{"_placeholder":true,"num":0}]"#,
            r#"451-["a????b",{"_placeholder":true,"num":0}]"#,
        ),
        (r#"420["subscribe",{"channel":"\n"}]"#, r#"420["subscribe",{"channel":"\n"}]"#),
        (r#"430[{"a":"\n"}]"#, r#"430[{"a":"\n"}]"#),
        (r#"40{"token":"\n"}"#, r#"40{"token":"\n"}"#),
        (r#"42[7,"\n"]"#, r#"42[7,"\n"]"#),
        ("2probe", "2probe"),
        ("", ""),
    ];

    #[test]
    fn escapes_of_names_alone_are_replaced_in_bodies() {
        let join = |side: fn(&(&str, &str)) -> String| {
            PACKETS.iter().map(side).collect::<Vec<_>>().join("\u{1e}").into_bytes()
        };
        let mut bytes = join(|(packet, _)| (*packet).to_owned());
        EventNames::default().pass_body(&mut bytes);
        assert_eq!(bytes, join(|(_, expected)| (*expected).to_owned()));
    }

    /// A masked frame.
    fn frame(is_final: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [3, 77, 0, 250];
        let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let head = [opcode | u8::from(is_final) << 7, 0x80 | u8::try_from(payload.len()).unwrap()];
        head.into_iter().chain(mask).chain(masked).collect()
    }

    /// The frames of a message, cut into fragments with a ping between them.
    fn message(opcode: u8, text: &str, cut: usize) -> Vec<u8> {
        let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
        [frame(false, opcode, first), frame(true, 9, b"42[\"\\n"), frame(true, 0, second)].concat()
    }

    proptest! {
        #[test]
        fn escapes_are_replaced_however_frames_are_cut(cut in 0..30_usize, read in 1..40_usize) {
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for (packet, passed) in PACKETS {
                sent.extend(message(TEXT, packet, cut));
                expected.extend(message(TEXT, passed, cut));
                // A binary message has no name.
                sent.extend(message(2, packet, cut));
                expected.extend(message(2, packet, cut));
            }
            let (mut names, mut meter) = (EventNames::default(), FrameMeter::default());
            for mut piece in sent.chunks_mut(read) {
                while !piece.is_empty() {
                    let (taken, part) = meter.step(piece, Micros(0)).unwrap();
                    let (these, rest) = piece.split_at_mut(taken);
                    if let Some(part) = part {
                        names.pass_frame(part, these);
                    }
                    piece = rest;
                }
            }
            prop_assert_eq!(sent, expected);
        }
    }
}
