//! stream: the body of an answer, read as its bytes come: server-sent events, or plain JSON where the endpoint does not
//! stream. Pure; hostile bytes are an error, never a panic, and where chunks end changes nothing.

use serde_json::{Deserializer, Value};

use super::wire::Said;

/// Why a body can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Larger than an answer can be.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Neither events nor JSON.
    #[error("the answer can't be read: {0}")]
    Garbage(String),
    /// The endpoint says so itself, in the middle of a stream.
    #[error("the endpoint says: {0}")]
    Complaint(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Unknown,
    Events,
    Plain,
}

/// Reads a body.
#[derive(Debug)]
pub struct Reader {
    most: usize,
    read: usize,
    shape: Shape,
    /// Of events: the line so far. Of plain JSON: all of it.
    line: Vec<u8>,
    /// The data of the event so far.
    event: Vec<u8>,
    /// The line feed after a carriage return ends nothing more.
    after_return: bool,
    said: Said,
    done: bool,
}

impl Reader {
    /// Reads a body of at most so many bytes.
    pub fn new(most: usize) -> Reader {
        Reader {
            most,
            read: 0,
            shape: Shape::Unknown,
            line: Vec::new(),
            event: Vec::new(),
            after_return: false,
            said: Said::default(),
            done: false,
        }
    }

    /// Takes in some bytes. Was there anything of the answer in them? Blank lines and comments are not.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, Broken> {
        let mut news = false;
        for byte in bytes {
            if self.done {
                break;
            }
            self.read += 1;
            if self.read > self.most {
                return Err(Broken::TooLarge(self.most));
            }
            news |= self.take(*byte)?;
        }
        Ok(news)
    }

    /// Was the end mark read? Nothing that follows counts.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What was read, at the body's end. It may be cut: [`Said::is_cut`].
    pub fn finish(mut self) -> Result<Said, Broken> {
        match self.shape {
            Shape::Unknown => return Err(Broken::Garbage("it is empty".to_owned())),
            Shape::Plain => self.plain()?,
            Shape::Events => {
                // A last line without its end may be whole or cut; a cut one after others is no more than a cut answer.
                let last = self.end_line().and_then(|_| self.end_event());
                let cut = self.said != Said::default();
                last.map(drop).or_else(|broken| match broken {
                    Broken::Garbage(_) if cut => Ok(()),
                    broken => Err(broken),
                })?;
            }
        }
        Ok(self.said)
    }

    fn take(&mut self, byte: u8) -> Result<bool, Broken> {
        if self.shape == Shape::Unknown {
            match byte {
                // White space, and a byte order mark.
                b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => return Ok(false),
                b'{' => self.shape = Shape::Plain,
                _ => self.shape = Shape::Events,
            }
        }
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        match (self.shape, byte) {
            (Shape::Events, b'\n') if after_return => Ok(false),
            (Shape::Events, b'\n' | b'\r') => self.end_line(),
            (Shape::Plain, _) => {
                self.line.push(byte);
                Ok(!byte.is_ascii_whitespace())
            }
            _ => {
                self.line.push(byte);
                Ok(false)
            }
        }
    }

    fn end_line(&mut self) -> Result<bool, Broken> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        // Comments begin with a colon; other fields (`event`, `id`, `retry`) say nothing here.
        if let Some(data) = line.strip_prefix(b"data:") {
            if data.trim_ascii() == b"[DONE]" {
                let news = self.end_event()?;
                self.done = true;
                self.said.complete = true;
                return Ok(news);
            }
            self.event.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            self.event.push(b'\n');
            return Ok(false);
        }
        let known = [&b":"[..], b"event", b"id", b"retry"].iter().any(|field| line.starts_with(field));
        match known || line.trim_ascii().is_empty() || line == b"data" {
            true => Ok(false),
            false => Err(garbage(&line)),
        }
    }

    fn end_event(&mut self) -> Result<bool, Broken> {
        let event = std::mem::take(&mut self.event);
        self.absorb(&event)
    }

    fn plain(&mut self) -> Result<(), Broken> {
        let body = std::mem::take(&mut self.line);
        match self.absorb(&body) {
            Ok(_) => self.said.complete = true,
            // The JSON stops in its middle: cut.
            Err(Broken::Garbage(_)) if is_unfinished(&body) => {}
            Err(broken) => return Err(broken),
        }
        Ok(())
    }

    /// All values of a text. Bytes that are no UTF-8 cost a letter, not the answer.
    fn absorb(&mut self, text: &[u8]) -> Result<bool, Broken> {
        let text = String::from_utf8_lossy(text);
        let mut news = false;
        for value in Deserializer::from_str(&text).into_iter::<Value>() {
            let value = value.map_err(|_| garbage(text.as_bytes()))?;
            if !value.is_object() {
                return Err(garbage(text.as_bytes()));
            }
            news |= self.said.absorb(&value).map_err(Broken::Complaint)?;
        }
        Ok(news)
    }
}

fn is_unfinished(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let failed = Deserializer::from_str(&text).into_iter::<Value>().find_map(Result::err);
    failed.is_some_and(|error| error.is_eof())
}

/// The beginning of what can't be read. Who shows it cleans it.
fn garbage(text: &[u8]) -> Broken {
    Broken::Garbage(String::from_utf8_lossy(text).trim().chars().take(120).collect())
}

#[cfg(test)]
#[path = "tests/stream.rs"]
mod tests;
