//! Bytes that wait for one socket: replies, and the rest of a frame that the socket took only in
//! part. State never waits here: a subscription keeps a mark, which becomes a frame once the socket
//! can take one.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes of replies that may wait for one socket: the answers to 128 subscribes with small
/// snapshots, or one large snapshot. A socket for which more would wait is closed as slow.
pub const MAX_WAITING: usize = 1024 * 1024;

/// Seconds in which a socket takes [`MIN_DRAIN`] bytes, or all that wait. Otherwise it is closed as
/// slow.
pub const STALL_S: u64 = 10;

/// Bytes that a socket takes in [`STALL_S`] at least: a fifth of what the slowest mobile network
/// carries. A client that reads a byte now and then would otherwise hold its bytes for ever.
pub const MIN_DRAIN: usize = 8 * 1024;

/// Bytes that may wait for all sockets of a node together, shared evenly by its shards: one large
/// snapshot for each of 32 slow clients, and small replies for thousands. Past it, the sockets that
/// have been behind for longest are closed as slow.
pub const MAX_WAITING_OF_NODE: usize = 64 * 1024 * 1024;

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
    /// Second in which the first byte began to wait.
    begun: u64,
    /// Second from which on `taken` is counted.
    since: u64,
    /// Bytes that the socket took since then.
    taken: usize,
    /// Whether the bytes were given up. None are kept any more.
    discarded: bool,
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
            Box::new(WaitingBytes { begun: now, since: now, ..WaitingBytes::default() })
        });
        if waiting.discarded {
            return Err(SendBufferFull);
        }
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
        waiting.taken += count;
        if waiting.taken >= MIN_DRAIN {
            (waiting.since, waiting.taken) = (now, 0);
        }
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

    /// The number of bytes that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// The second since when bytes have waited without a break.
    pub fn behind_since(&self) -> Option<u64> {
        self.waiting.as_ref().map(|waiting| waiting.begun)
    }

    /// Gives up the bytes of a socket that is about to be closed. The buffer stays non-empty,
    /// because a frame may have left in part, and takes no more bytes.
    pub fn discard(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            (waiting.queue, waiting.bytes, waiting.discarded) = (VecDeque::new(), 0, true);
        }
    }

    /// The second at which the socket is closed as slow, unless it takes enough bytes before.
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
    fn only_enough_bytes_restart_the_stall_deadline() {
        let mut buffer = SendBuffer::default();
        buffer.push(vec![0; 3 * MIN_DRAIN].into(), 5).unwrap();
        assert_eq!(buffer.deadline(), Some(5 + STALL_S));
        buffer.push(Bytes::from_static(b"d"), 9).unwrap();
        for second in 9..15 {
            buffer.advance(1, second);
            assert_eq!(buffer.deadline(), Some(5 + STALL_S), "a byte now and then is not enough");
        }
        buffer.advance(MIN_DRAIN, 15);
        assert_eq!((buffer.deadline(), buffer.behind_since()), (Some(15 + STALL_S), Some(5)));
        buffer.advance(2 * MIN_DRAIN - 6, 16);
        buffer.advance(1, 16);
        assert_eq!((buffer.deadline(), buffer.waiting()), (None, 0));
    }

    #[test]
    fn discarded_bytes_are_gone_and_none_follow() {
        let mut buffer = SendBuffer::default();
        buffer.push(Bytes::from_static(b"abc"), 1).unwrap();
        buffer.advance(1, 1);
        buffer.discard();
        assert_eq!((buffer.waiting(), buffer.front(), buffer.is_empty()), (0, None, false));
        assert_eq!(buffer.push(Bytes::from_static(b"x"), 1), Err(SendBufferFull));
    }

    #[test]
    fn buffer_takes_one_large_frame_then_refuses() {
        let mut buffer = SendBuffer::default();
        buffer.push(vec![0; MAX_WAITING + 1].into(), 0).unwrap();
        assert_eq!(buffer.push(Bytes::from_static(b"x"), 0), Err(SendBufferFull));
    }

    #[test]
    fn smaller_frames_wait_up_to_the_bound() {
        let mut buffer = SendBuffer::default();
        buffer.push(vec![0; MAX_WAITING - 3].into(), 0).unwrap();
        buffer.push(Bytes::from_static(b"abc"), 0).unwrap();
        assert_eq!(buffer.waiting(), MAX_WAITING);
        assert_eq!(buffer.push(Bytes::from_static(b"x"), 0), Err(SendBufferFull));
        buffer.advance(2, 0);
        assert_eq!(buffer.waiting(), MAX_WAITING - 2);
        buffer.push(Bytes::from_static(b"de"), 0).unwrap();
        assert_eq!(buffer.push(Bytes::from_static(b"x"), 0), Err(SendBufferFull));
    }
}
