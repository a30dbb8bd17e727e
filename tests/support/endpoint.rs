//! A chat endpoint on this machine that says what a test wants: right answers, wrong ones, late ones, none. It knows
//! nothing of the crate, so that unit tests and the tests of the binary share it. Plain threads and HTTP/1.1 by hand, so
//! that everything that a wire can do wrong can be done.
//!
//! ```ignore
//! let endpoint = Endpoint::start([Say::status(503), Say::keepalives(3).then(Say::text("hello"))]);
//! // … ask endpoint.url() …
//! assert_eq!(endpoint.requests()[1].body["model"], "deepseek-flash");
//! endpoint.assert_done();
//! ```

#![allow(dead_code)]

use std::{
    collections::{BTreeMap, VecDeque},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Null where it was no JSON.
    pub(crate) body: Value,
    /// To the byte.
    pub(crate) bytes: Vec<u8>,
}

type Answering = Box<dyn FnMut(&Value) -> Say + Send>;

enum Script {
    Queue(VecDeque<Say>),
    Closure(Answering),
}

struct Shared {
    script: Mutex<Script>,
    requests: Mutex<Vec<Request>>,
    wrong: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// Requests that wait for an answer, and the most that ever did.
    waiting: AtomicUsize,
    peak: AtomicUsize,
    over: AtomicBool,
}

/// The endpoint. It ends when it is dropped.
pub(crate) struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Endpoint {
    /// Answers one request after the other by the script; more requests than that are wrong.
    pub(crate) fn start(script: impl IntoIterator<Item = Say>) -> Endpoint {
        Endpoint::serve(Script::Queue(script.into_iter().collect()))
    }

    /// Answers every request by what it asks: its JSON body.
    pub(crate) fn answering(answer: impl FnMut(&Value) -> Say + Send + 'static) -> Endpoint {
        Endpoint::serve(Script::Closure(Box::new(answer)))
    }

    /// An address at which nobody listens.
    pub(crate) fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The bodies of the requests so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.requests().into_iter().map(|request| request.body).collect()
    }

    /// The connections so far, whether anything was asked by them or not.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most requests that ever waited for an answer at once.
    pub(crate) fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }

    /// Fails the test where the script was not used up, or where requests came that it does not know.
    #[track_caller]
    pub(crate) fn assert_done(&self) {
        let wrong = self.shared.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "unexpected requests: {wrong:#?}");
        if let Script::Queue(left) = &*self.shared.script.lock().unwrap() {
            assert!(left.is_empty(), "nobody asked for {} of the answers: {left:#?}", left.len());
        }
    }

    fn serve(script: Script) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            requests: Mutex::default(),
            wrong: Mutex::default(),
            connections: AtomicUsize::default(),
            waiting: AtomicUsize::default(),
            peak: AtomicUsize::default(),
            over: AtomicBool::new(false),
        });
        let served = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if served.over.load(Ordering::SeqCst) {
                    break;
                }
                served.connections.fetch_add(1, Ordering::SeqCst);
                let served = served.clone();
                // A client that goes away in the middle is its own affair.
                thread::spawn(move || stream.and_then(|stream| served.converse(stream)));
            }
        });
        Endpoint { address, shared }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(request) = read_request(&mut stream)? else { return Ok(()) };
        let complaint = match (request.method.as_str(), request.path.as_str()) {
            ("POST", path) if path.ends_with("/chat/completions") && request.body.is_object() => None,
            (method, path) => Some(format!("no chat is asked for by {method} {path}")),
        };
        self.requests.lock().unwrap().push(request.clone());
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(waiting, Ordering::SeqCst);
        let say = match complaint {
            Some(complaint) => self.wrong(complaint),
            None => {
                let mut script = self.script.lock().unwrap();
                let next = match &mut *script {
                    Script::Queue(queue) => queue.pop_front(),
                    Script::Closure(answer) => Some(answer(&request.body)),
                };
                drop(script);
                next.unwrap_or_else(|| self.wrong(format!("the script is over: {}", request.body)))
            }
        };
        self.rest(say.wait);
        // Whoever has read an answer may ask again at once.
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.perform(&mut stream, &say, &request.body)
    }

    fn wrong(&self, complaint: String) -> Say {
        self.wrong.lock().unwrap().push(complaint.clone());
        Say::status(400).saying(&complaint)
    }

    fn perform(&self, stream: &mut TcpStream, say: &Say, asked: &Value) -> std::io::Result<()> {
        if say.wants_reasoning && lacks_reasoning(asked) {
            let complaint = "The reasoning_content in the thinking mode must be passed back to the API.";
            return self.perform(stream, &Say::status(400).saying(complaint), asked);
        }
        if say.silent {
            return self.until_gone(stream);
        }
        if say.hang_up {
            return Ok(());
        }
        let stream_asked = asked.get("stream").and_then(Value::as_bool).unwrap_or(false);
        let (kind, pieces) = say.body(asked, stream_asked);
        let mut head = format!("HTTP/1.1 {} Said\r\ncontent-type: {kind}\r\nconnection: close\r\n", say.status);
        head.push_str("transfer-encoding: chunked\r\n");
        for (name, value) in &say.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        for piece in pieces {
            self.chunk(stream, &piece)?;
            self.rest(say.pause);
        }
        if let Some(forever) = &say.forever {
            while !self.over.load(Ordering::SeqCst) {
                self.chunk(stream, forever)?;
                thread::sleep(Duration::from_millis(5));
            }
        }
        match say.ending {
            Ending::Closed => stream.write_all(b"0\r\n\r\n"),
            Ending::Cut => Ok(()),
            Ending::Open => self.until_gone(stream),
        }
    }

    fn chunk(&self, stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
        stream.write_all(bytes)?;
        stream.write_all(b"\r\n")?;
        stream.flush()
    }

    /// Sleeps, but not past the end of the test.
    fn rest(&self, time: Duration) {
        let step = Duration::from_millis(20);
        let mut left = time;
        while !left.is_zero() && !self.over.load(Ordering::SeqCst) {
            let now = left.min(step);
            thread::sleep(now);
            left -= now;
        }
    }

    fn until_gone(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut buffer = [0; 64];
        while !self.over.load(Ordering::SeqCst) {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Closed,
    /// The connection goes away in the middle.
    Cut,
    /// Nothing more comes, and nobody hangs up.
    Open,
}

#[derive(Debug, Clone)]
enum Body {
    /// An answer of the chat, as a stream or plain.
    Answer,
    Raw(String, Vec<u8>),
}

/// What the endpoint says to one request.
#[derive(Debug, Clone)]
pub(crate) struct Say {
    status: u16,
    headers: Vec<(String, String)>,
    wait: Duration,
    pause: Duration,
    before: Vec<Vec<u8>>,
    forever: Option<Vec<u8>>,
    body: Body,
    content: String,
    reasoning: String,
    calls: Vec<(String, String, String)>,
    finish: Option<String>,
    usage: Option<Value>,
    plain: bool,
    done: bool,
    ending: Ending,
    silent: bool,
    hang_up: bool,
    wants_reasoning: bool,
}

impl Say {
    /// A right answer: a stream of a few words at a time, a usage of 100 prompt tokens (40 of them cached) and 20 others.
    pub(crate) fn text(content: &str) -> Say {
        let say = Say {
            status: 200,
            headers: Vec::new(),
            wait: Duration::ZERO,
            pause: Duration::ZERO,
            before: Vec::new(),
            forever: None,
            body: Body::Answer,
            content: content.to_owned(),
            reasoning: String::new(),
            calls: Vec::new(),
            finish: Some("stop".to_owned()),
            usage: None,
            plain: false,
            done: true,
            ending: Ending::Closed,
            silent: false,
            hang_up: false,
            wants_reasoning: false,
        };
        say.usage(100, 40, 20)
    }

    /// Calls a tool. Arguments may be anything.
    pub(crate) fn call(name: &str, arguments: &str) -> Say {
        Say::text("").calling(name, arguments)
    }

    /// White space and nothing else, as JSON mode does it.
    pub(crate) fn blank() -> Say {
        Say::text("   \n  ")
    }

    /// An error as the API words it.
    pub(crate) fn status(status: u16) -> Say {
        Say { status, ..Say::text("") }.saying(&format!("the test wants a {status}"))
    }

    /// Elsewhere.
    pub(crate) fn redirect(to: &str) -> Say {
        Say::status(307).header("location", to)
    }

    /// Comments, as a queue sends them; with [`Say::then`] before an answer.
    pub(crate) fn keepalives(count: usize) -> Say {
        Say { before: vec![b": keep-alive\n\n".to_vec(); count], ..Say::text("") }
    }

    /// Blank lines, as a queue sends them before plain JSON.
    pub(crate) fn blank_lines(count: usize) -> Say {
        Say { before: vec![b"\n".to_vec(); count], ..Say::text("") }
    }

    /// Comments, for ever.
    pub(crate) fn keepalives_forever() -> Say {
        Say { forever: Some(b": keep-alive\n\n".to_vec()), ..Say::raw("text/event-stream", b"") }
    }

    /// Thoughts, for ever: progress, but no end.
    pub(crate) fn thinking_forever() -> Say {
        let event = json!({"choices": [{"index": 0, "delta": {"reasoning_content": "hm "}, "finish_reason": null}]});
        Say { forever: Some(format!("data: {event}\n\n").into_bytes()), ..Say::raw("text/event-stream", b"") }
    }

    /// Takes the request and says nothing at all.
    pub(crate) fn nothing() -> Say {
        Say { silent: true, ..Say::text("") }
    }

    /// Takes the request and hangs up.
    pub(crate) fn hang_up() -> Say {
        Say { hang_up: true, ..Say::text("") }
    }

    /// What no client can read.
    pub(crate) fn garbage() -> Say {
        Say::raw("text/html", b"<html><body>It works!</body></html>")
    }

    /// These bytes.
    pub(crate) fn raw(kind: &str, bytes: &[u8]) -> Say {
        Say { body: Body::Raw(kind.to_owned(), bytes.to_vec()), ..Say::text("") }
    }

    /// After what this one says first (keep-alives), another answer.
    pub(crate) fn then(self, mut answer: Say) -> Say {
        let mut before = self.before;
        before.append(&mut answer.before);
        answer.before = before;
        answer
    }

    /// With thoughts.
    pub(crate) fn thinking(self, reasoning: &str) -> Say {
        Say { reasoning: reasoning.to_owned(), ..self }
    }

    /// Calls one tool more.
    pub(crate) fn calling(mut self, name: &str, arguments: &str) -> Say {
        let id = format!("call_{}_{}", self.calls.len(), name);
        self.calls.push((id, name.to_owned(), arguments.to_owned()));
        self.finish("tool_calls")
    }

    /// Ends for another reason.
    pub(crate) fn finish(self, reason: &str) -> Say {
        Say { finish: Some(reason.to_owned()), ..self }
    }

    /// Another usage, as DeepSeek words it.
    pub(crate) fn usage(self, prompt: u64, cached: u64, completion: u64) -> Say {
        let usage = json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": prompt.saturating_sub(cached),
        });
        Say { usage: Some(usage), ..self }
    }

    /// Another usage, as OpenAI words it.
    pub(crate) fn openai_usage(self, prompt: u64, cached: u64, completion: u64) -> Say {
        let usage = json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
        });
        Say { usage: Some(usage), ..self }
    }

    /// Without a usage block.
    pub(crate) fn no_usage(self) -> Say {
        Say { usage: None, ..self }
    }

    /// One JSON document, though a stream was asked for.
    pub(crate) fn plain(self) -> Say {
        Say { plain: true, ..self }
    }

    /// Without `[DONE]`.
    pub(crate) fn without_done(self) -> Say {
        Say { done: false, ..self }
    }

    /// Breaks off in the middle: no finish, no usage, no last chunk.
    pub(crate) fn cut(self) -> Say {
        Say { finish: None, usage: None, done: false, ending: Ending::Cut, ..self }
    }

    /// Says it all, and leaves the connection open.
    pub(crate) fn left_open(self) -> Say {
        Say { ending: Ending::Open, ..self }
    }

    /// With a pause after every piece.
    pub(crate) fn slowly(self, pause: Duration) -> Say {
        Say { pause, ..self }
    }

    /// Begins only after a while.
    pub(crate) fn after(self, wait: Duration) -> Say {
        Say { wait, ..self }
    }

    /// One header more.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Say {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `Retry-After`.
    pub(crate) fn retry_after(self, value: &str) -> Say {
        self.header("retry-after", value)
    }

    /// The words of an error.
    pub(crate) fn saying(self, message: &str) -> Say {
        let body = json!({"error": {"message": message, "type": "test", "param": null, "code": null}});
        Say { body: Body::Raw("application/json".to_owned(), body.to_string().into_bytes()), ..self }
    }

    /// Answers 400 where an earlier message calls tools and comes without its thoughts, as DeepSeek does.
    pub(crate) fn wants_reasoning(self) -> Say {
        Say { wants_reasoning: true, ..self }
    }

    /// The kind of the body, and its pieces.
    fn body(&self, asked: &Value, stream_asked: bool) -> (String, Vec<Vec<u8>>) {
        let (kind, mut pieces) = match &self.body {
            Body::Raw(kind, bytes) => (kind.clone(), vec![bytes.clone()]),
            Body::Answer if self.plain || !stream_asked => ("application/json".to_owned(), vec![self.document(asked)]),
            Body::Answer => ("text/event-stream".to_owned(), self.events(asked)),
        };
        pieces.splice(0..0, self.before.iter().cloned());
        (kind, pieces)
    }

    fn document(&self, asked: &Value) -> Vec<u8> {
        let mut message = json!({"role": "assistant", "content": self.content});
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = json!(self.reasoning);
        }
        if !self.calls.is_empty() {
            let call = |(id, name, arguments): &(String, String, String)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            message["tool_calls"] = self.calls.iter().map(call).collect();
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish});
        let mut body = json!({"id": "1", "object": "chat.completion", "model": asked["model"], "choices": [choice]});
        if let Some(usage) = &self.usage {
            body["usage"] = usage.clone();
        }
        let mut bytes = body.to_string().into_bytes();
        if matches!(self.ending, Ending::Cut) {
            bytes.truncate(bytes.len() / 2);
        }
        bytes
    }

    fn events(&self, asked: &Value) -> Vec<Vec<u8>> {
        let event = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            let body = json!({"id": "1", "object": "chat.completion.chunk", "model": asked["model"], "choices": [choice], "usage": null});
            format!("data: {body}\n\n").into_bytes()
        };
        let mut events = vec![event(json!({"role": "assistant", "content": ""}), Value::Null)];
        events.extend(pieces(&self.reasoning).map(|piece| event(json!({"reasoning_content": piece}), Value::Null)));
        events.extend(pieces(&self.content).map(|piece| event(json!({"content": piece}), Value::Null)));
        for (index, (id, name, arguments)) in self.calls.iter().enumerate() {
            let call =
                json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
            events.push(event(json!({"tool_calls": [call]}), Value::Null));
            for piece in pieces(arguments) {
                let call = json!({"index": index, "function": {"arguments": piece}});
                events.push(event(json!({"tool_calls": [call]}), Value::Null));
            }
        }
        if let Some(finish) = &self.finish {
            events.push(event(json!({}), json!(finish)));
        }
        if let Some(usage) = &self.usage {
            let body = json!({"id": "1", "object": "chat.completion.chunk", "choices": [], "usage": usage});
            events.push(format!("data: {body}\n\n").into_bytes());
        }
        if self.done {
            events.push(b"data: [DONE]\n\n".to_vec());
        }
        events
    }
}

/// A text, seven letters at a time.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(7).map(|chunk| chunk.iter().collect()).collect::<Vec<String>>().into_iter()
}

fn lacks_reasoning(asked: &Value) -> bool {
    let messages = asked.get("messages").and_then(Value::as_array);
    let lacks =
        |message: &Value| message.get("tool_calls").is_some() && message["reasoning_content"].as_str().is_none();
    messages.into_iter().flatten().any(lacks)
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            read => body.extend_from_slice(&buffer[..read]),
        }
    }
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Request { method, path, headers, body: json, bytes: body }))
}
