//! Bytes into whole lines: any encoding, any length, any split of the stream.

use memchr::{memchr2, memrchr2};

/// The longest line that is read; the rest of a longer one is dropped.
pub(super) const LINE: usize = 16 << 10;
/// So many bytes of whole lines are handed on at once.
const BLOCK: usize = 128 << 10;

/// What the stream's first bytes say of its encoding.
#[derive(Debug, Default)]
enum Encoding {
    #[default]
    Unknown,
    /// UTF-8, or anything that is near enough: broken sequences are shown as such later.
    Bytes,
    /// As PowerShell redirects it.
    Utf16 { big: bool, odd: Option<u8>, high: Option<u16> },
}

/// Collects bytes until lines are whole.
#[derive(Debug, Default)]
pub(super) struct Lines {
    encoding: Encoding,
    buffer: Vec<u8>,
    /// A line that is longer than the buffer may be: its end is being skipped.
    skipping: bool,
    /// The last byte of the last block was `\r`.
    returned: bool,
}

impl Lines {
    /// Reads more bytes, and hands blocks of whole lines to `each`. Blocks end with `\n` or `\r`.
    pub(super) fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8])) {
        match self.encoding {
            Encoding::Bytes => self.bytes(bytes, each),
            Encoding::Utf16 { .. } => {
                let text = self.decoded(bytes);
                self.bytes(&text, each);
            }
            Encoding::Unknown => {
                self.buffer.extend_from_slice(bytes);
                if self.buffer.len() >= 2 {
                    let first = std::mem::take(&mut self.buffer);
                    self.encoding = match first[..2] {
                        [0xFF, 0xFE] => Encoding::Utf16 { big: false, odd: None, high: None },
                        [0xFE, 0xFF] => Encoding::Utf16 { big: true, odd: None, high: None },
                        _ => Encoding::Bytes,
                    };
                    self.feed(&first, each);
                }
            }
        }
    }

    /// The stream is over: what has no end of line yet.
    pub(super) fn finish(&mut self, each: &mut impl FnMut(&[u8])) {
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() && !self.skipping {
            each(&rest);
        }
    }

    /// How many bytes wait for the end of their line.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.buffer.len()
    }

    fn bytes(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            if self.skipping {
                let Some(end) = memchr2(b'\n', b'\r', bytes) else { return };
                self.skipping = false;
                self.returned = bytes[end] == b'\r';
                bytes = &bytes[end + 1..];
                continue;
            }
            if std::mem::take(&mut self.returned) && self.buffer.is_empty() && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let piece = &bytes[..bytes.len().min(BLOCK)];
            bytes = &bytes[piece.len()..];
            match memrchr2(b'\n', b'\r', piece) {
                Some(end) => {
                    let (whole, rest) = piece.split_at(end + 1);
                    self.returned = whole.ends_with(b"\r");
                    let whole = if self.buffer.is_empty() { whole } else { self.complete(whole, each) };
                    if !whole.is_empty() {
                        each(whole);
                    }
                    // A `\n` that follows the `\r` which ended the block belongs to it.
                    let rest = match (self.returned, rest.first()) {
                        (true, Some(b'\n')) => &rest[1..],
                        _ => rest,
                    };
                    if !rest.is_empty() {
                        self.returned = false;
                        self.buffer.extend_from_slice(rest);
                    }
                }
                None => self.buffer.extend_from_slice(piece),
            }
            if self.buffer.len() > LINE {
                self.buffer.truncate(LINE);
                self.buffer.push(b'\n');
                each(&self.buffer);
                self.buffer.clear();
                self.skipping = true;
            }
        }
    }

    /// Hands on the line that waits for its end, and gives back what comes after it.
    fn complete<'a>(&mut self, whole: &'a [u8], each: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let end = memchr2(b'\n', b'\r', whole).map_or(whole.len(), |at| at + 1);
        let both = whole[..end].ends_with(b"\r") && whole.get(end) == Some(&b'\n');
        let (first, rest) = whole.split_at(end + usize::from(both));
        self.buffer.extend_from_slice(first);
        each(&self.buffer);
        self.buffer.clear();
        rest
    }

    fn decoded(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Encoding::Utf16 { big, odd, high } = &mut self.encoding else { return bytes.to_vec() };
        let mut text = String::with_capacity(bytes.len());
        let mut bytes = odd.take().into_iter().chain(bytes.iter().copied());
        while let Some(first) = bytes.next() {
            let Some(second) = bytes.next() else {
                *odd = Some(first);
                break;
            };
            let unit = if *big { u16::from_be_bytes([first, second]) } else { u16::from_le_bytes([first, second]) };
            let units = high.take().into_iter().chain([unit]);
            for decoded in char::decode_utf16(units) {
                match decoded {
                    Ok(c) => text.push(c),
                    Err(error) if (0xD800..0xDC00).contains(&error.unpaired_surrogate()) => {
                        // The first half of a pair, or of one that never comes.
                        if error.unpaired_surrogate() == unit {
                            *high = Some(unit);
                        } else {
                            text.push(char::REPLACEMENT_CHARACTER);
                        }
                    }
                    Err(_) => text.push(char::REPLACEMENT_CHARACTER),
                }
            }
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut text = Vec::new();
        let mut each = |block: &[u8]| text.extend_from_slice(block);
        pieces.iter().for_each(|piece| lines.feed(piece, &mut each));
        lines.finish(&mut each);
        String::from_utf8_lossy(&text).split_terminator(['\n', '\r']).map(str::to_owned).collect()
    }

    #[test]
    fn utf_16_of_both_orders_is_read_wherever_it_is_cut() {
        let text = "\u{feff}one\r\ntwo ✓ 𝄞\n";
        for big in [false, true] {
            let bytes: Vec<u8> =
                text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect();
            for size in 1..bytes.len() {
                let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
                let read: Vec<String> = lines(&pieces).into_iter().filter(|line| !line.is_empty()).collect();
                assert_eq!(read, ["\u{feff}one", "two ✓ 𝄞"], "{size}");
            }
        }
    }

    #[test]
    fn what_is_beyond_a_lines_bound_is_dropped_and_the_next_line_is_read() {
        let long = vec![b'a'; 3 * BLOCK];
        for size in [1000, BLOCK, 4 * BLOCK] {
            let bytes = [long.as_slice(), b"\nnext\n"].concat();
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let read = lines(&pieces);
            assert_eq!(read.last().map(String::as_str), Some("next"), "{size}");
            assert!(read.iter().all(|line| line.len() <= 3 * BLOCK));
        }
    }
}
