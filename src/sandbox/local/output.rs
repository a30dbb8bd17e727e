//! Output kept within bounds: its head and its tail.

use std::collections::VecDeque;

/// The first and the last bytes of a stream; the middle is counted and dropped.
#[derive(Debug)]
pub(super) struct Bounded {
    head: Vec<u8>,
    head_limit: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    dropped: u64,
}

impl Bounded {
    pub(super) fn new(limit: usize) -> Self {
        let head_limit = limit / 2;
        Bounded { head: Vec::new(), head_limit, tail: VecDeque::new(), tail_limit: limit - head_limit, dropped: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.head_limit - self.head.len();
        let (to_head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(to_head);
        let skip = rest.len().saturating_sub(self.tail_limit);
        let overflow = (self.tail.len() + rest.len() - skip).saturating_sub(self.tail_limit);
        self.tail.drain(..overflow);
        self.tail.extend(&rest[skip..]);
        self.dropped += (overflow + skip) as u64;
    }

    /// What was kept, and how many bytes were dropped between head and tail.
    pub(super) fn finish(self) -> (Vec<u8>, u64) {
        let mut kept = self.head;
        kept.extend(self.tail);
        (kept, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn short_output_is_kept_whole() {
        let mut output = Bounded::new(10);
        output.push(b"abc");
        output.push(b"defghij");
        assert_eq!(output.finish(), (b"abcdefghij".to_vec(), 0));
    }

    #[test]
    fn of_long_output_the_head_and_the_tail_are_kept() {
        let mut output = Bounded::new(6);
        for chunk in [&b"abcd"[..], b"efghijkl", b"mn", b"o"] {
            output.push(chunk);
        }
        assert_eq!(output.finish(), (b"abcmno".to_vec(), 9));
    }

    #[test]
    fn no_room_keeps_nothing_and_counts_everything() {
        let mut output = Bounded::new(0);
        output.push(b"abc");
        assert_eq!(output.finish(), (Vec::new(), 3));
    }
}
