//! What goes wrong because a test wants it.

use std::time::Duration;

use regex::Regex;

/// One way to fail for requests that match; once, unless it is said otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) method: String,
    pub(crate) path: Regex,
    pub(crate) kind: Kind,
    /// Requests it lets pass first.
    pub(crate) after: u32,
    /// How often; `None` is always.
    pub(crate) left: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Nothing is done; this is said.
    Refuse { status: u16, message: String, headers: Vec<(String, String)> },
    /// The work is done; this is said all the same.
    Forget { status: u16, message: String },
    /// A pause first.
    Slow(Duration),
    /// The work is done, and the connection goes away in the middle of the answer.
    Cut,
    /// 302 to elsewhere.
    Redirect(String),
}

impl Fault {
    /// For requests of this method (`*` is any) whose path below `/api/v3` matches the regular expression. Downloads of
    /// logs have the path `/logs/…` and the method `DOWNLOAD`.
    pub(crate) fn on(method: &str, path: &str) -> Fault {
        let kind = Kind::Refuse { status: 502, message: "Server Error".to_owned(), headers: Vec::new() };
        Fault { method: method.to_owned(), path: Regex::new(path).unwrap(), kind, after: 0, left: Some(1) }
    }

    /// Says this status without doing anything.
    pub(crate) fn status(self, status: u16, message: &str) -> Fault {
        self.with(Kind::Refuse { status, message: message.to_owned(), headers: Vec::new() })
    }

    /// Does the work, and says this status: a POST that is repeated would double.
    pub(crate) fn after_the_work(self, status: u16) -> Fault {
        self.with(Kind::Forget { status, message: "Server Error".to_owned() })
    }

    /// 403 with `retry-after`: too much at once.
    pub(crate) fn secondary_limit(self, seconds: u64) -> Fault {
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        let headers = vec![("retry-after".to_owned(), seconds.to_string())];
        self.with(Kind::Refuse { status: 403, message: message.to_owned(), headers })
    }

    /// 429 with `retry-after`.
    pub(crate) fn too_many(self, seconds: u64) -> Fault {
        let headers = vec![("retry-after".to_owned(), seconds.to_string())];
        self.with(Kind::Refuse { status: 429, message: "Too Many Requests".to_owned(), headers })
    }

    /// One header more on what is refused.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Fault {
        if let Kind::Refuse { headers, .. } = &mut self.kind {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Answers late.
    pub(crate) fn slow(self, pause: Duration) -> Fault {
        self.with(Kind::Slow(pause))
    }

    /// Does the work, and hangs up in the middle of the answer.
    pub(crate) fn cut(self) -> Fault {
        self.with(Kind::Cut)
    }

    /// Sends the client elsewhere.
    pub(crate) fn redirect(self, to: &str) -> Fault {
        self.with(Kind::Redirect(to.to_owned()))
    }

    /// So many times.
    pub(crate) fn times(self, count: u32) -> Fault {
        Fault { left: Some(count), ..self }
    }

    /// For ever.
    pub(crate) fn always(self) -> Fault {
        Fault { left: None, ..self }
    }

    /// Lets so many requests pass first.
    pub(crate) fn skip(self, count: u32) -> Fault {
        Fault { after: count, ..self }
    }

    fn with(self, kind: Kind) -> Fault {
        Fault { kind, ..self }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        (self.method == "*" || self.method == method) && self.path.is_match(path)
    }
}

/// The first fault for this request; it is used up by that.
pub(crate) fn strike(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<Kind> {
    for at in 0..faults.len() {
        let fault = &mut faults[at];
        if !fault.matches(method, path) {
            continue;
        }
        if fault.after > 0 {
            fault.after -= 1;
            continue;
        }
        let kind = fault.kind.clone();
        if let Some(left) = &mut fault.left {
            *left -= 1;
            if *left == 0 {
                faults.remove(at);
            }
        }
        return Some(kind);
    }
    None
}
