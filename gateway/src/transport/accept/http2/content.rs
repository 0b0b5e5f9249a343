//! The content in one direction of an HTTP/2 connection: the bytes of its DATA frames. Frames that
//! keep a connection alive, such as pings and their answers, and those that end it are none. Those
//! that a client may send without end, and that cost this side an answer or a look, are counted.

/// The preface that a client sends before its first frame (RFC 9113 §3.4).
const PREFACE: usize = 24;
/// The length, type, flags and stream of a frame (RFC 9113 §4.1).
const FRAME_HEAD: usize = 9;
/// The type of DATA frames.
const DATA: u8 = 0;

/// The types of other frames that belong to a request or to its flow.
const OF_REQUESTS: [u8; 5] = [HEADERS, RESET, WINDOW_UPDATE, CONTINUATION, GOAWAY];
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Follows the frames in one direction.
#[derive(Default)]
pub(super) struct ContentCounter {
    /// Bytes that are left of the preface or of the frame.
    left: usize,
    is_data: bool,
    head: [u8; FRAME_HEAD],
    head_bytes: usize,
    /// Settings, pings, priorities and frames of unknown types since the last look.
    control: u32,
}

impl ContentCounter {
    /// For what the client sends.
    pub(super) fn of_client() -> Self {
        Self { left: PREFACE, ..Self::default() }
    }

    /// For what the server sends.
    pub(super) fn of_server() -> Self {
        Self::default()
    }

    /// The bytes of content among the bytes that follow those before.
    pub(super) fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut content = 0;
        while !bytes.is_empty() {
            let taken = if self.left > 0 { self.left } else { FRAME_HEAD - self.head_bytes };
            let (part, rest) = bytes.split_at(taken.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.left -= part.len();
                content += if self.is_data { part.len() as u64 } else { 0 };
                continue;
            }
            self.head[self.head_bytes..][..part.len()].copy_from_slice(part);
            self.head_bytes += part.len();
            if self.head_bytes == FRAME_HEAD {
                let [high, middle, low, kind, ..] = self.head;
                self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
                (self.is_data, self.head_bytes) = (kind == DATA, 0);
                self.control += u32::from(!self.is_data && !OF_REQUESTS.contains(&kind));
            }
        }
        content
    }

    /// How many frames since the last call were of no request: settings, pings, priorities, and
    /// frames of unknown types.
    pub(super) fn take_control(&mut self) -> u32 {
        std::mem::take(&mut self.control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + usize::from(length), DATA);
        frame
    }

    #[test]
    fn only_data_is_content_however_it_is_cut() {
        const PING: u8 = 6;
        let frames = [frame(4, 0), frame(PING, 8), frame(DATA, 200), frame(DATA, 0), frame(8, 4)];
        let sent = [&[b'P'; PREFACE][..], &frames.concat(), &frame(DATA, 7), &frame(PING, 8)];
        let sent = sent.concat();
        for size in [1, 2, 8, 9, 10, sent.len()] {
            let mut counter = ContentCounter::of_client();
            let content: u64 = sent.chunks(size).map(|part| counter.count(part)).sum();
            assert_eq!(content, 207, "in pieces of {size}");
            assert_eq!(counter.take_control(), 3, "settings and two pings, in pieces of {size}");
            assert_eq!(counter.take_control(), 0);
        }
        assert_eq!(ContentCounter::of_server().count(&frames.concat()), 200);
    }
}
