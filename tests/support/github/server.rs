//! The wire: the API, git behind it, and the other host that logs come from.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{IpAddr, SocketAddr, TcpListener},
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::Body as AxumBody,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::sync::oneshot;

use super::{
    bare,
    faults::{Kind, strike},
    router::{Body, Reply, answer, common_headers, decoded, unexpected},
    state::{Call, State},
    watch,
};

/// What the server and the test look at together.
pub(crate) struct Shared(Mutex<State>);

impl Shared {
    /// A test that failed under the lock has said so already.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both listeners, on a thread of their own until this is dropped.
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    over: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(address: IpAddr) -> Server {
        let bind = || {
            let listener = TcpListener::bind(SocketAddr::new(address, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            (listener, url)
        };
        let ((api, api_url), (storage, storage_url)) = (bind(), bind());
        let shared = Arc::new(Shared(Mutex::new(State::new(api_url, storage_url))));
        let (over, told) = oneshot::channel();
        let served = shared.clone();
        let thread = thread::Builder::new().name("github".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                serve(api, served.clone(), main_host);
                serve(storage, served, storage_host);
                let _ = told.await;
            });
            // Slow answers are not waited for.
            runtime.shutdown_background();
        });
        Server { shared, over: Some(over), thread: Some(thread.unwrap()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is done with a request, in the end.
struct Done {
    reply: Reply,
    pause: Duration,
    cut: bool,
}

type Host = fn(&Shared, Call, &str) -> Done;

fn serve(listener: TcpListener, shared: Arc<Shared>, host: Host) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let router = Router::new().fallback(move |request: Request| {
        let shared = shared.clone();
        async move {
            let (call, raw) = read(request).await;
            // Git and the state's lock both block.
            let asked = shared.clone();
            let done = tokio::task::spawn_blocking(move || host(&asked, call, &raw)).await;
            let done = done.unwrap_or_else(|panic| {
                shared.lock().complaints.push(format!("the fake panicked: {panic}"));
                Done::of(Reply::error(500, "the fake panicked"))
            });
            tokio::time::sleep(done.pause).await;
            written(done)
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// The request, and its path as it came.
async fn read(request: Request) -> (Call, String) {
    let (head, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap_or_default().to_vec();
    let mut headers = BTreeMap::new();
    for (name, value) in &head.headers {
        headers.insert(name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
    };
    let query = head.uri.query().unwrap_or_default();
    let query = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
    let raw = head.uri.path().to_owned();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    let call = Call { method: head.method.to_string(), path: decoded(&raw), query, headers, body, bytes, status: 0 };
    (call, raw)
}

impl Done {
    fn of(reply: Reply) -> Done {
        Done { reply, pause: Duration::ZERO, cut: false }
    }
}

fn written(done: Done) -> Response {
    let (kind, bytes) = match done.reply.body {
        Body::Json(value) => ("application/json; charset=utf-8", serde_json::to_vec(&value).unwrap()),
        Body::Bytes(kind, bytes) => (kind, bytes),
        Body::Empty => ("", Vec::new()),
    };
    let length = bytes.len();
    let body = if done.cut {
        // A half, and then nothing: the length was promised.
        let half = bytes[..length / 2].to_vec();
        let gone = std::io::Error::other("the test wants the connection to go away");
        AxumBody::from_stream(futures_util::stream::iter([Ok(half), Err(gone)]))
    } else {
        AxumBody::from(bytes)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(done.reply.status).unwrap();
    let headers = response.headers_mut();
    let mut header = |name: &str, value: &str| {
        headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    };
    if !kind.is_empty() {
        header("content-type", kind);
    }
    if done.cut {
        header("content-length", &length.max(2).to_string());
    }
    for (name, value) in &done.reply.headers {
        header(name, value);
    }
    response
}

fn main_host(shared: &Shared, call: Call, raw: &str) -> Done {
    if let Some(path) = raw.strip_prefix("/api/v3") {
        return api(shared, call, path);
    }
    if let Some(at) = raw.find(".git/") {
        let (repository, path) = (&raw[1..at], &raw[at + 4..]);
        return Done::of(git(shared, call, repository, path));
    }
    let mut state = shared.lock();
    watch::leaks(&mut state, &call, true);
    let reply = unexpected(&mut state, &call);
    state.other_calls.push(Call { status: reply.status, ..call });
    Done::of(reply)
}

fn api(shared: &Shared, mut call: Call, raw: &str) -> Done {
    call.path = decoded(raw);
    let mut state = shared.lock();
    let at = state.calls.len();
    state.calls.push(call.clone());
    if !call.bytes.is_empty() && call.body.is_null() {
        state.complaints.push(format!("{} {} has a body that is no JSON", call.method, call.path));
        state.calls[at].status = 400;
        return Done::of(Reply::error(400, "Problems parsing JSON"));
    }
    let kind = strike(&mut state.faults, &call.method, &call.path);
    let mut done = match kind {
        None => Done::of(answer(&mut state, &call, raw)),
        Some(Kind::Slow(pause)) => Done { pause, ..Done::of(answer(&mut state, &call, raw)) },
        Some(Kind::Cut) => Done { cut: true, ..Done::of(answer(&mut state, &call, raw)) },
        Some(Kind::Forget { status, message }) => {
            answer(&mut state, &call, raw);
            Done::of(Reply::error(status, &message))
        }
        Some(Kind::Redirect(to)) => {
            watch::leaks(&mut state, &call, true);
            Done::of(Reply::redirect(&to))
        }
        Some(Kind::Refuse { status, message, headers }) => {
            watch::leaks(&mut state, &call, true);
            Done::of(Reply { headers, ..Reply::error(status, &message) })
        }
    };
    let mut headers = common_headers(&state);
    // What an answer says itself is said last, and holds.
    headers.append(&mut done.reply.headers);
    done.reply.headers = headers;
    state.calls[at].status = done.reply.status;
    done
}

/// Git's own smart HTTP, behind the token where the repository is private.
fn git(shared: &Shared, call: Call, repository: &str, path: &str) -> Reply {
    let project = {
        let mut state = shared.lock();
        watch::leaks(&mut state, &call, true);
        let at = state.other_calls.len();
        state.other_calls.push(call.clone());
        let reply = refused(&mut state, &call, repository, path);
        state.other_calls[at].status = reply.as_ref().map_or(200, |reply| reply.status);
        match reply {
            Some(reply) => return reply,
            None => state.repositories[repository].bare.path.clone(),
        }
    };
    let query: Vec<String> = call.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let header = |name: &str| call.headers.get(name).cloned().unwrap_or_default();
    let mut backend = Command::new(&*bare::GIT);
    backend
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &project)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", &project)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query.join("&"))
        .env("REQUEST_METHOD", &call.method)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", call.bytes.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = backend.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = call.bytes;
    let writing = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writing.join();
    cgi(output.stdout)
}

fn refused(state: &mut State, call: &Call, repository: &str, path: &str) -> Option<Reply> {
    let Some(private) = state.repositories.get(repository).map(|repository| repository.private) else {
        state.complaints.push(format!("there is no repository {repository}: {} {}", call.method, call.path));
        return Some(Reply::missing());
    };
    let right = STANDARD.encode(format!("x-access-token:{}", state.token));
    let given = call.headers.get("authorization");
    let known = given.is_some_and(|given| given.strip_prefix("Basic ") == Some(&right));
    let asks = || Reply::bytes("text/plain", b"Repository not found.".to_vec());
    if given.is_some() && !known || given.is_none() && private {
        let reply = asks().header("www-authenticate", "Basic realm=\"GitHub\"");
        return Some(Reply { status: 401, ..reply });
    }
    if known && private && !state.may("contents", "read") {
        return Some(Reply { status: 403, ..asks() });
    }
    let service = call.query.get("service").map(String::as_str).unwrap_or_default();
    if service == "git-receive-pack" || path == "/git-receive-pack" {
        state.complaints.push(format!("unexpected push: {} {}", call.method, call.path));
        return Some(Reply { status: 403, ..asks() });
    }
    None
}

/// Headers and body, as a CGI program says them.
fn cgi(said: Vec<u8>) -> Reply {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(said.len());
    let (head, body) = said.split_at(end);
    let mut reply = Reply::bytes("", body.get(4..).unwrap_or_default().to_vec());
    for line in String::from_utf8_lossy(head).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        match name.to_lowercase().as_str() {
            "status" => reply.status = value.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(500),
            name => reply.headers.push((name.to_owned(), value.to_owned())),
        }
    }
    reply
}

/// Where logs are fetched from: another host, that nobody may show a token.
fn storage_host(shared: &Shared, call: Call, _: &str) -> Done {
    let mut state = shared.lock();
    watch::leaks(&mut state, &call, false);
    if call.headers.contains_key("authorization") {
        state.complaints.push(format!("the host of the logs got an Authorization header: {}", call.path));
    }
    let life = state.ticket_life;
    let ticket = call.path.strip_prefix("/logs/").and_then(|name| state.tickets.get(name));
    let reply = match ticket {
        _ if call.method != "GET" => unexpected(&mut state, &call),
        None => unexpected(&mut state, &call),
        Some(ticket) if ticket.made.elapsed() > life => {
            let xml = b"<Error><Code>AuthenticationFailed</Code></Error>".to_vec();
            Reply { status: 403, ..Reply::bytes("application/xml", xml) }
        }
        Some(ticket) => Reply::bytes(ticket.kind, ticket.bytes.clone()),
    };
    let done = match strike(&mut state.faults, "DOWNLOAD", &call.path) {
        Some(Kind::Slow(pause)) => Done { pause, ..Done::of(reply) },
        Some(Kind::Cut) => Done { cut: true, ..Done::of(reply) },
        Some(Kind::Redirect(to)) => Done::of(Reply::redirect(&to)),
        Some(Kind::Refuse { status, message, headers }) => {
            Done::of(Reply { headers, ..Reply::error(status, &message) })
        }
        Some(Kind::Forget { status, message }) => Done::of(Reply::error(status, &message)),
        None => Done::of(reply),
    };
    state.other_calls.push(Call { status: done.reply.status, ..call });
    done
}
