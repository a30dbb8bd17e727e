//! Which lines mean something to somebody: a filter over all words of all parsers.
//!
//! Most of a log's lines hold none of them, and are passed over at about the speed of reading them. For every word one of
//! its four-byte pieces, a rare one, is hashed into a set; a position of the text whose four bytes are in the set is
//! compared with the words that have them.

use std::collections::HashMap;

use super::tools::Mask;

/// The hash has so many bits: the set is to stay in a core's nearest cache.
const BITS: u32 = 15;
const SET: usize = 1 << BITS;
/// No piece of any word: every word is text.
const SEVERAL: u32 = 0;

/// Pieces that stand in every other line of a log.
const COMMON: [&[u8; 4]; 48] = [
    b"test", b"Test", b"PASS", b"pack", b"Buil", b"buil", b"work", b"CMak", b"requ", b"ding", b"remo", b"Comp",
    b"solv", b"xecu", b"ytho", b"Proc", b"ckag", b"uild", b"comm", b"meou", b"file", b"fail", b"thon", b"stal",
    b"ests", b"modu", b"File", b"ildi", b"line", b"ving", b"ning", b"rror", b"sing", b"grou", b"pres", b"with",
    b"heck", b"have", b"ring", b"spac", b"Make", b"Task", b"emot", b"warn", b"acka", b"omma", b"ion_", b"gnal",
];

/// A word, where in it the piece is, and whose it is.
#[derive(Debug)]
struct Word {
    text: Vec<u8>,
    offset: usize,
    mask: Mask,
}

/// All words, and whose they are.
#[derive(Debug)]
pub(super) struct Words {
    set: Box<[bool; SET]>,
    /// By hash: the piece ([`SEVERAL`] where two have the hash), and one more than where in `words` its words are.
    heads: Box<[(u32, u16)]>,
    words: Vec<Vec<Word>>,
    /// Whom a line concerns by how it begins: by its first byte, the beginnings.
    starts: Vec<Vec<(&'static str, Mask)>>,
}

impl Words {
    /// A word has at least four bytes, of which the last may be a line's end; a shorter one is never found.
    pub(super) fn new(
        list: impl Iterator<Item = (String, Mask)>,
        begin: impl Iterator<Item = (&'static str, Mask)>,
    ) -> Self {
        let mut set = Box::new([false; SET]);
        let mut words: HashMap<u32, Vec<Word>> = HashMap::new();
        let weight = |piece: &[u8]| match COMMON.iter().any(|known| known.as_slice() == piece) {
            true => u32::MAX,
            false => piece.iter().map(|byte| common(*byte)).sum(),
        };
        for (text, mask) in list {
            let text = text.into_bytes();
            if let Some((offset, piece)) = text.windows(4).enumerate().min_by_key(|(_, piece)| weight(piece)) {
                let piece = u32::from_le_bytes([piece[0], piece[1], piece[2], piece[3]]);
                set[hash(piece)] = true;
                words.entry(piece).or_default().push(Word { text, offset, mask });
            }
        }
        let mut starts = vec![Vec::new(); 256];
        for (start, mask) in begin {
            if let Some(first) = start.bytes().next() {
                starts[usize::from(first)].push((start, mask));
            }
        }
        let mut heads = vec![(0, 0); 1 << BITS].into_boxed_slice();
        let mut lists: Vec<Vec<Word>> = Vec::new();
        for (piece, list) in words {
            // Pieces of one hash share a list.
            let at = hash(piece);
            match heads.get_mut(at) {
                Some(head @ (_, 0)) => {
                    lists.push(list);
                    *head = (piece, u16::try_from(lists.len()).unwrap_or(u16::MAX));
                }
                Some((known, head)) => {
                    *known = SEVERAL;
                    lists[usize::from(*head) - 1].extend(list);
                }
                None => {}
            }
        }
        Self { set, heads, words: lists, starts }
    }

    /// Whom a line concerns.
    pub(super) fn mask(&self, text: &[u8]) -> Mask {
        let Some(first) = text.first() else { return 0 };
        let starts = self.starts[usize::from(*first)].iter().filter(|(start, _)| text.starts_with(start.as_bytes()));
        let mut mask = starts.fold(0, |mask, (_, own)| mask | own);
        let mut start = 0;
        // Four positions at once, and one look at what they have in common: mostly nothing.
        while let Some(bytes) = text[start..].first_chunk() {
            let bytes = u64::from_le_bytes(*bytes);
            let has = |shift: u32| self.set[hash((bytes >> shift) as u32)];
            if has(0) | has(8) | has(16) | has(24) {
                mask |= self.four(text, start, bytes);
            }
            start += 4;
        }
        for (at, piece) in text[start..].windows(4).enumerate() {
            mask |= self.at(text, start + at, u32::from_le_bytes([piece[0], piece[1], piece[2], piece[3]]));
        }
        // The line's end is part of a word that is to stand there.
        if let [.., a, b, c] = text {
            mask |= self.at(text, text.len() - 3, u32::from_le_bytes([*a, *b, *c, b'\n']));
        }
        mask
    }

    /// Whose words stand around one of the pieces that begin at four positions.
    #[cold]
    fn four(&self, text: &[u8], start: usize, bytes: u64) -> Mask {
        // A ruler is the same piece again and again; only its ends may say more.
        let ruler = start > 0 && bytes == bytes.rotate_left(8) && text[start - 1] == text[start];
        if ruler && text.get(start + 8) == text.get(start) {
            return 0;
        }
        (0..4).fold(0, |mask, at| mask | self.at(text, start + at, (bytes >> (8 * at)) as u32))
    }

    /// Whose words stand around a piece that begins at `at`.
    fn at(&self, text: &[u8], at: usize, bytes: u32) -> Mask {
        let hash = hash(bytes);
        // Most that have a piece's hash are not the piece.
        let (piece, head) = match self.set[hash] {
            true => self.heads[hash],
            false => return 0,
        };
        if piece != bytes && piece != SEVERAL {
            return 0;
        }
        let Some(words) = usize::from(head).checked_sub(1).and_then(|head| self.words.get(head)) else { return 0 };
        let found = |word: &&Word| {
            at.checked_sub(word.offset).is_some_and(|start| match word.text.strip_suffix(b"\n") {
                Some(last) => text[start..] == *last,
                None => text[start..].starts_with(&word.text),
            })
        };
        words.iter().filter(found).fold(0, |mask, word| mask | word.mask)
    }
}

fn hash(value: u32) -> usize {
    (value.wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

/// How common a byte is in what tools say, roughly. Digits are common in numbers, and rare beside letters.
fn common(byte: u8) -> u32 {
    match byte {
        b' ' | b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 10,
        b'.' | b'/' | b'-' | b'_' => 8,
        b'a'..=b'z' | b':' => 7,
        b'0'..=b'9' | b'=' => 5,
        b'A'..=b'Z' => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_wherever_it_stands_and_nothing_else() {
        let list = ["error", ": error", "FAILED", "=====", "⎯⎯⎯", "a.py:1"];
        let words = Words::new(list.iter().enumerate().map(|(at, word)| ((*word).to_owned(), 1 << at)), [].into_iter());
        for (at, word) in list.iter().enumerate() {
            for text in
                [(*word).to_owned(), format!("x{word}"), format!("{word}x"), format!("a long line with {word} in it")]
            {
                let wanted = list
                    .iter()
                    .enumerate()
                    .filter(|(_, word)| text.contains(**word))
                    .fold(0, |mask, (at, _)| mask | 1 << at);
                assert_eq!(words.mask(text.as_bytes()), wanted, "{text}");
                assert!(wanted >> at & 1 == 1);
            }
        }
        assert_eq!(words.mask(b"nothing of the kind, or erro"), 0);
        assert_eq!(words.mask(b""), 0);
        let words = Words::new([(".go\n".to_owned(), 1)].into_iter(), [(" + ", 2)].into_iter());
        for before in 0..20 {
            let before = "x".repeat(before);
            let mask = |end: &str| words.mask(format!("{before}{end}").as_bytes());
            assert_eq!((mask("a.go"), mask("a.go b"), mask(".go")), (1, 0, 1), "{before}");
        }
        assert_eq!((words.mask(b" + a.go"), words.mask(b" +"), words.mask(b"- + ")), (3, 0, 0));
    }
}
