//! Bytes that wait for one socket: replies, and the rest of a frame that the socket took only in
//! part. State never waits here: a subscription keeps a mark, which becomes a frame once the socket
//! can take one.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes of replies that may wait for one socket: the answers to 128 subscribes with small
/// snapshots, or one large snapshot. A socket for which more would wait is closed as slow.
pub const MAX_WAITING: usize = 1024 * 1024;

/// Seconds that a socket may take no byte while some wait. After that it is closed as slow.
pub const STALL_S: u64 = 10;

/// The bytes that wait for one socket, in order.
#[derive(Default)]
pub struct SendBuffer {
    /// Boxed, so that an idle connection pays one word.
    waiting: Option<Box<WaitingBytes>>,
}

#[derive(Default)]
struct WaitingBytes {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// Second in which the socket last took a byte, or in which the first byte began to wait.
    since: u64,
}

/// More than [`MAX_WAITING`] bytes would wait: the socket is too slow.
#[derive(Debug, PartialEq, Eq)]
pub struct SendBufferFull;

impl SendBuffer {
    /// Returns whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// Adds bytes at the end, at second `now`.
    ///
    /// # Errors
    /// [`SendBufferFull`] when too many bytes wait; these bytes are then not added.
    pub fn push(&mut self, bytes: Bytes, now: u64) -> Result<(), SendBufferFull> {
        if bytes.is_empty() {
            return Ok(());
        }
        let waiting = self.waiting.get_or_insert_with(|| {
            Box::new(WaitingBytes { since: now, ..WaitingBytes::default() })
        });
        // One frame may be larger than the bound, because a snapshot has to fit somewhere.
        if !waiting.queue.is_empty() && waiting.bytes + bytes.len() > MAX_WAITING {
            return Err(SendBufferFull);
        }
        waiting.bytes += bytes.len();
        waiting.queue.push_back(bytes);
        Ok(())
    }

    /// The bytes to write next.
    pub fn front(&self) -> Option<&[u8]> {
        self.waiting.as_ref().and_then(|waiting| waiting.queue.front()).map(|bytes| &**bytes)
    }

    /// Removes `count` bytes of the front, which the socket took at second `now`.
    pub fn advance(&mut self, count: usize, now: u64) {
        let Some(waiting) = &mut self.waiting else {
            debug_assert!(count == 0, "a socket takes only bytes that wait");
            return;
        };
        waiting.bytes -= count;
        waiting.since = now;
        if let Some(front) = waiting.queue.front_mut() {
            if count < front.len() {
                let _ = front.split_to(count);
            } else {
                waiting.queue.pop_front();
            }
        }
        if waiting.queue.is_empty() {
            self.waiting = None;
        }
    }

    /// The second at which the socket is closed as slow, unless it takes a byte before.
    pub fn deadline(&self) -> Option<u64> {
        self.waiting.as_ref().map(|waiting| waiting.since + STALL_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_of_arrival() {
        let mut buffer = SendBuffer::default();
        buffer.push(Bytes::from_static(b"abc"), 1).unwrap();
        buffer.push(Bytes::from_static(b"de"), 1).unwrap();
        let mut written = Vec::new();
        for count in [1, 2, 1, 1] {
            written.extend_from_slice(&buffer.front().unwrap()[..count]);
            buffer.advance(count, 2);
        }
        assert_eq!(written, b"abcde");
        assert!(buffer.is_empty() && buffer.deadline().is_none());
    }

    #[test]
    fn each_byte_taken_restarts_the_stall_deadline() {
        let mut buffer = SendBuffer::default();
        buffer.push(Bytes::from_static(b"abc"), 5).unwrap();
        assert_eq!(buffer.deadline(), Some(5 + STALL_S));
        buffer.push(Bytes::from_static(b"d"), 9).unwrap();
        assert_eq!(buffer.deadline(), Some(5 + STALL_S));
        buffer.advance(1, 11);
        assert_eq!(buffer.deadline(), Some(11 + STALL_S));
    }

    #[test]
    fn buffer_takes_one_large_frame_then_refuses() {
        let mut buffer = SendBuffer::default();
        buffer.push(vec![0; MAX_WAITING + 1].into(), 0).unwrap();
        assert_eq!(buffer.push(Bytes::from_static(b"x"), 0), Err(SendBufferFull));
    }
}
