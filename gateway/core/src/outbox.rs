//! Bytes that wait for one socket: replies, and what was left of a frame the socket took only in part.
//! State never waits here. It is a mark on its subscription, made into a frame when the socket can take it.

use bytes::Bytes;

/// Bytes of replies one socket may leave waiting: 128 subscribes answered with small snapshots, or one large
/// snapshot. Past it the socket is closed as slow.
pub const MAX_WAITING: usize = 1024 * 1024;

/// Seconds a socket may take no byte at all while some wait; then it is closed as slow.
pub const STALL_S: u64 = 10;

#[derive(Default)]
pub struct Outbox {
    /// Boxed: an idle connection pays one word.
    waiting: Option<Box<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    queue: std::collections::VecDeque<Bytes>,
    bytes: usize,
    /// Second of the last byte taken, or of the first that began to wait.
    since: u64,
}

/// The socket is too slow: more waits than [`MAX_WAITING`].
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// Adds bytes at the end, at second `now`.
    ///
    /// # Errors
    /// [`Full`] when too much waits; the bytes are not added.
    pub fn push(&mut self, bytes: Bytes, now: u64) -> Result<(), Full> {
        if bytes.is_empty() {
            return Ok(());
        }
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::new(Waiting { since: now, ..Waiting::default() }));
        // One frame may be larger than the bound: a snapshot has to fit somewhere.
        if !waiting.queue.is_empty() && waiting.bytes + bytes.len() > MAX_WAITING {
            return Err(Full);
        }
        waiting.bytes += bytes.len();
        waiting.queue.push_back(bytes);
        Ok(())
    }

    /// The bytes to write next.
    pub fn front(&self) -> Option<&[u8]> {
        self.waiting.as_ref().and_then(|waiting| waiting.queue.front()).map(|bytes| &**bytes)
    }

    /// The socket took `taken` bytes of the front, at second `now`.
    pub fn took(&mut self, taken: usize, now: u64) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.bytes -= taken;
        waiting.since = now;
        if let Some(front) = waiting.queue.front_mut() {
            if taken < front.len() {
                let _ = front.split_to(taken);
            } else {
                waiting.queue.pop_front();
            }
        }
        if waiting.queue.is_empty() {
            self.waiting = None;
        }
    }

    /// The second at which a socket that takes nothing more is given up.
    pub fn deadline(&self) -> Option<u64> {
        self.waiting.as_ref().map(|waiting| waiting.since + STALL_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_whatever_the_socket_takes() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"abc"), 1).unwrap();
        outbox.push(Bytes::from_static(b"de"), 1).unwrap();
        let mut seen = Vec::new();
        for take in [1, 2, 1, 1] {
            seen.extend_from_slice(&outbox.front().unwrap()[..take]);
            outbox.took(take, 2);
        }
        assert_eq!(seen, b"abcde");
        assert!(outbox.is_empty() && outbox.deadline().is_none());
    }

    #[test]
    fn the_stall_clock_starts_again_with_every_byte_taken() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"abc"), 5).unwrap();
        assert_eq!(outbox.deadline(), Some(5 + STALL_S));
        outbox.push(Bytes::from_static(b"d"), 9).unwrap();
        assert_eq!(outbox.deadline(), Some(5 + STALL_S));
        outbox.took(1, 11);
        assert_eq!(outbox.deadline(), Some(11 + STALL_S));
    }

    #[test]
    fn too_much_waiting_is_refused_but_one_large_frame_is_not() {
        let mut outbox = Outbox::default();
        outbox.push(vec![0; MAX_WAITING + 1].into(), 0).unwrap();
        assert_eq!(outbox.push(Bytes::from_static(b"x"), 0), Err(Full));
    }
}
