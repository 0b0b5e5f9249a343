//! Counts the frames of a WebSocket (RFC 6455 §5.2), and their lengths, in the bytes that pass by.
//! The library that reads the frames joins fragments and drops pongs by itself, so it cannot count
//! them.

use crate::{
    protocol::MAX_MESSAGE,
    rate::{Bucket, Micros, Rate},
};

/// Fragments that one message may have: pieces of 2 KiB of the longest message. A client with more
/// is closed. Each fragment costs a turn of the parser, however few bytes it has.
pub const MAX_FRAGMENTS: u8 = 32;

/// Pings, pongs and closes that one client may send. Clients and proxies ping once in 10 s or more.
/// A client that sends more is closed.
pub const CONTROL_FRAMES: Rate = Rate { burst: 20, per_second: 10 };

/// Messages of any content that one client may send. A client with more is closed. The bound of a
/// session's commands is reached earlier; this one is for attachments, of which an event may have
/// many, and for packets that are no commands.
pub const MESSAGES: Rate = Rate { burst: 1024, per_second: 100 };

/// Bytes of the longest payload of a control frame (RFC 6455 §5.5).
const MAX_CONTROL_PAYLOAD: u64 = 125;
/// The longest payload that a head may state: the high bit of its 64 is zero (RFC 6455 §5.2).
const MAX_STATED: u64 = u64::MAX >> 1;

/// Bytes of the longest head without its mask: flags, length, and the 64-bit length.
const MAX_HEAD: usize = 10;
const MASK: u64 = 4;

/// The frames of one client.
#[derive(Default)]
pub struct FrameMeter {
    /// The head that has arrived in part.
    head: [u8; MAX_HEAD],
    filled: u8,
    /// Opcode of the frame whose head was read last.
    opcode: u8,
    /// Bytes of its mask and its payload.
    total: u64,
    /// How many of them still follow.
    rest: u64,
    /// Fragments of the message that is not complete yet.
    fragments: u8,
    /// Bytes of its payload, as far as the heads of its frames say.
    message: u64,
    control: Bucket,
    messages: Bucket,
}

/// Some bytes of the mask and the payload of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePiece {
    /// The kind of the frame.
    pub opcode: u8,
    /// Bytes of its mask and payload before these.
    pub at: u64,
}

/// A client sent more frames than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameExcess {
    /// More control frames than [`CONTROL_FRAMES`].
    Control,
    /// More than [`MAX_FRAGMENTS`] in one message.
    Fragments,
    /// More messages than [`MESSAGES`].
    Messages,
    /// A message longer than [`MAX_MESSAGE`]. It is known from its head, before its bytes arrive.
    Length,
    /// A length that RFC 6455 forbids, for frames of the kind or for all.
    ForbiddenLength,
}

impl FrameMeter {
    /// Counts the frames that begin in `bytes`, which follow those of the last call.
    ///
    /// # Errors
    /// [`FrameExcess`] when a bound is passed. Nothing is counted correctly after that.
    pub fn count(&mut self, mut bytes: &[u8], now: Micros) -> Result<(), FrameExcess> {
        while !bytes.is_empty() {
            let (taken, _) = self.step(bytes, now)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Counts the first bytes: those that belong to one frame, or one byte of a head. Returns how
    /// many they are, and which part of a frame, if they are no head. No bytes are no step.
    ///
    /// # Errors
    /// The errors of [`FrameMeter::count`].
    pub fn step(
        &mut self,
        bytes: &[u8],
        now: Micros,
    ) -> Result<(usize, Option<FramePiece>), FrameExcess> {
        let Some(byte) = bytes.first() else { return Ok((0, None)) };
        if self.rest > 0 {
            let taken = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
            let piece = FramePiece { opcode: self.opcode, at: self.total - self.rest };
            self.rest -= taken as u64;
            return Ok((taken, Some(piece)));
        }
        self.head[usize::from(self.filled)] = *byte;
        self.filled += 1;
        if self.filled >= 2 && usize::from(self.filled) == self.head_length() {
            self.begin_frame(now)?;
        }
        Ok((1, None))
    }

    /// Bytes of the head, as its second byte says.
    fn head_length(&self) -> usize {
        match self.head[1] & 0x7f {
            127 => MAX_HEAD,
            126 => 4,
            _ => 2,
        }
    }

    fn begin_frame(&mut self, now: Micros) -> Result<(), FrameExcess> {
        let length = match self.head[1] & 0x7f {
            127 => self.head[2..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            short => u64::from(short),
        };
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { MASK };
        self.total = length.saturating_add(mask);
        self.rest = self.total;
        self.filled = 0;
        let (is_final, opcode) = (self.head[0] & 0x80 != 0, self.head[0] & 0x0f);
        self.opcode = opcode;
        let is_control = opcode >= 8;
        if length > if is_control { MAX_CONTROL_PAYLOAD } else { MAX_STATED } {
            return Err(FrameExcess::ForbiddenLength);
        }
        if is_control {
            let allowed = self.control.take(CONTROL_FRAMES, now);
            return if allowed { Ok(()) } else { Err(FrameExcess::Control) };
        }
        self.fragments += 1;
        if self.fragments > MAX_FRAGMENTS {
            return Err(FrameExcess::Fragments);
        }
        self.message = self.message.saturating_add(length);
        if self.message > MAX_MESSAGE as u64 {
            return Err(FrameExcess::Length);
        }
        if is_final {
            (self.fragments, self.message) = (0, 0);
            if !self.messages.take(MESSAGES, now) {
                return Err(FrameExcess::Messages);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Micros = Micros(0);

    /// A masked frame with a payload of `length` bytes.
    fn frame(is_final: bool, opcode: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![if is_final { 0x80 | opcode } else { opcode }];
        match length {
            0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([7; 4]);
        // Bytes that would be heads of pongs if they were not payload.
        frame.extend(std::iter::repeat_n(0x8a, length));
        frame
    }

    #[test]
    fn each_excess_has_its_bound() {
        let (pong, ping) = (frame(true, 10, 0), frame(true, 9, 125));
        let burst = usize::try_from(CONTROL_FRAMES.burst).unwrap();
        let fragments = usize::from(MAX_FRAGMENTS);
        let messages = usize::try_from(MESSAGES.burst).unwrap();
        let message = |fragments: usize| {
            let mut frames = frame(false, 1, 3);
            frames.extend(frame(false, 0, 0).repeat(fragments - 2));
            frames.extend(frame(true, 0, 60_000));
            frames
        };
        let table = [
            (pong.repeat(burst), Ok(())),
            (pong.repeat(burst + 1), Err(FrameExcess::Control)),
            (ping.repeat(burst + 1), Err(FrameExcess::Control)),
            (frame(true, 1, 300).repeat(500), Ok(())),
            (frame(true, 2, 1).repeat(messages), Ok(())),
            (frame(true, 2, 1).repeat(messages + 1), Err(FrameExcess::Messages)),
            (message(fragments).repeat(9), Ok(())),
            (message(fragments + 1), Err(FrameExcess::Fragments)),
            (frame(true, 1, MAX_MESSAGE), Ok(())),
            (frame(true, 1, MAX_MESSAGE + 1), Err(FrameExcess::Length)),
            ([frame(false, 1, 40_000), frame(true, 0, 40_000)].concat(), Err(FrameExcess::Length)),
            (frame(true, 9, 126), Err(FrameExcess::ForbiddenLength)),
            (frame(true, 8, MAX_MESSAGE + 1), Err(FrameExcess::ForbiddenLength)),
            (vec![0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0], Err(FrameExcess::Length)),
            (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Err(FrameExcess::ForbiddenLength)),
        ];
        for (index, (bytes, expected)) in table.into_iter().enumerate() {
            assert_eq!(FrameMeter::default().count(&bytes, NOW), expected, "case {index}");
        }
    }

    /// The meter counts such a frame; tungstenite refuses it afterwards.
    #[test]
    fn frame_without_a_mask_ends_after_its_payload() {
        let mut meter = FrameMeter::default();
        assert_eq!(meter.count(&[0x82, 0x02, 7, 7], NOW), Ok(()));
        assert_eq!((meter.rest, meter.filled), (0, 0));
    }

    #[test]
    fn control_frames_at_the_rate_pass_for_ever() {
        let mut meter = FrameMeter::default();
        for second in 0..100_u64 {
            let count = usize::try_from(CONTROL_FRAMES.per_second).unwrap();
            let pongs = frame(true, 10, 4).repeat(count);
            assert_eq!(meter.count(&pongs, Micros(second * 1_000_000)), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn cuts_between_reads_do_not_matter(
            lengths in proptest::collection::vec(0..=MAX_MESSAGE, 1..5),
            cut in 1..3000_usize,
        ) {
            let frames = lengths.iter().map(|length| frame(true, 2, *length));
            let bytes = frames.collect::<Vec<_>>().concat();
            let (mut whole, mut pieces) = (FrameMeter::default(), FrameMeter::default());
            prop_assert_eq!(whole.count(&bytes, NOW), Ok(()));
            for piece in bytes.chunks(cut) {
                prop_assert_eq!(pieces.count(piece, NOW), Ok(()));
            }
            prop_assert_eq!((whole.rest, whole.filled), (0, 0));
            prop_assert_eq!((pieces.rest, pieces.filled), (0, 0));
        }
    }
}
