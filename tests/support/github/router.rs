//! From a request to what handles it: who asks, what they may, which operation it is, and whether both sides keep to
//! GitHub's description.

use serde_json::{Value, json};

use super::{
    actions, checks, contents, git_data, issues, pulls, reviews, schema,
    state::{Call, Issue, Repository, State},
    watch,
};

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Json(Value),
    Bytes(&'static str, Vec<u8>),
    Empty,
}

/// An answer, or a refusal.
pub(crate) type Said = Result<Reply, Reply>;

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Reply {
        Reply { status, headers: Vec::new(), body: Body::Json(body) }
    }

    pub(crate) fn bytes(kind: &'static str, bytes: Vec<u8>) -> Reply {
        Reply { status: 200, headers: Vec::new(), body: Body::Bytes(kind, bytes) }
    }

    pub(crate) fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Body::Empty }
    }

    pub(crate) fn redirect(to: &str) -> Reply {
        Reply::empty(302).header("location", to)
    }

    /// An error as GitHub words it.
    pub(crate) fn error(status: u16, message: &str) -> Reply {
        let page = "https://docs.github.com/rest";
        Reply::json(status, json!({"message": message, "documentation_url": page, "status": status.to_string()}))
    }

    pub(crate) fn missing() -> Reply {
        Reply::error(404, "Not Found")
    }

    /// 422 with `errors`.
    pub(crate) fn invalid(errors: Value) -> Reply {
        let page = "https://docs.github.com/rest";
        let body =
            json!({"message": "Validation Failed", "errors": errors, "documentation_url": page, "status": "422"});
        Reply::json(422, body)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A request to a repository, with all that an answer may need.
pub(crate) struct Ask<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) call: &'a Call,
    /// `owner/name`; it exists.
    pub(crate) full_name: String,
    /// What stands for the braces of the path.
    pub(crate) parts: Vec<String>,
}

impl Ask<'_> {
    pub(crate) fn repository(&self) -> &Repository {
        &self.state.repositories[&self.full_name]
    }

    pub(crate) fn repository_mut(&mut self) -> &mut Repository {
        self.state.repositories.get_mut(&self.full_name).unwrap()
    }

    pub(crate) fn part(&self, at: usize) -> &str {
        &self.parts[at]
    }

    pub(crate) fn number(&self, at: usize) -> Result<u64, Reply> {
        self.parts[at].parse().map_err(|_| Reply::missing())
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.call.query.get(name).map(String::as_str)
    }

    /// A text of the body.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.call.body[name].as_str().map(str::to_owned)
    }

    /// A list of texts of the body.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let items = self.call.body[name].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item.as_str().or_else(|| item["name"].as_str()).map(str::to_owned)).collect()
    }

    pub(crate) fn accepts(&self, kind: &str) -> bool {
        self.call.headers.get("accept").is_some_and(|accept| accept.contains(kind))
    }

    pub(crate) fn issue(&self, number: u64) -> Result<&Issue, Reply> {
        self.repository().issues.get(&number).ok_or_else(Reply::missing)
    }

    pub(crate) fn issue_mut(&mut self, number: u64) -> &mut Issue {
        self.repository_mut().issues.get_mut(&number).unwrap()
    }

    /// The base of the repository's addresses in the API.
    pub(crate) fn url(&self) -> String {
        format!("{}/api/v3/repos/{}", self.state.server, self.full_name)
    }

    /// The base of the repository's pages.
    pub(crate) fn html(&self) -> String {
        format!("{}/{}", self.state.server, self.full_name)
    }

    /// One of GitHub's examples, at home here.
    pub(crate) fn example(&self, name: &str) -> Value {
        schema::example(name, &self.state.server, &self.full_name)
    }

    pub(crate) fn example_item(&self, name: &str) -> Value {
        schema::example_item(name, &self.state.server, &self.full_name)
    }

    pub(crate) fn user(&self, login: &str) -> Value {
        self.state.user(login)
    }

    /// Who asks.
    pub(crate) fn login(&self) -> String {
        self.state.identity.login()
    }

    /// One page of a list, and the `Link` to the others.
    pub(crate) fn page<T>(&self, items: Vec<T>) -> (Vec<T>, Option<String>) {
        let asked = |name: &str| self.query(name).and_then(|n| n.parse::<usize>().ok());
        let size = asked("per_page").unwrap_or(30).clamp(1, 100);
        let page = asked("page").unwrap_or(1).max(1);
        let last = items.len().div_ceil(size).max(1);
        let link = |number: usize, relation: &str| {
            let mut query = self.call.query.clone();
            query.insert("page".to_owned(), number.to_string());
            let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
            let address = format!("{}/api/v3{}", self.state.server, self.call.path);
            format!("<{address}?{}>; rel=\"{relation}\"", query.join("&"))
        };
        let mut links = Vec::new();
        if page > 1 {
            links.extend([link(page - 1, "prev"), link(1, "first")]);
        }
        if page < last {
            links.extend([link(page + 1, "next"), link(last, "last")]);
        }
        let items = items.into_iter().skip((page - 1) * size).take(size).collect();
        (items, Some(links.join(", ")).filter(|links| !links.is_empty()))
    }

    /// A page of a list as the answer.
    pub(crate) fn list(&self, items: Vec<Value>) -> Said {
        let (items, link) = self.page(items);
        Ok(linked(Reply::json(200, Value::Array(items)), link))
    }

    /// A page of a list that is counted.
    pub(crate) fn counted(&self, name: &str, items: Vec<Value>) -> Said {
        let count = items.len();
        let (items, link) = self.page(items);
        Ok(linked(Reply::json(200, json!({"total_count": count, name: items})), link))
    }

    /// Refuses where the token lacks this.
    pub(crate) fn need(&self, areas: &str, access: &str) -> Result<(), Reply> {
        if self.state.may(areas, access) { Ok(()) } else { Err(not_accessible()) }
    }
}

fn linked(reply: Reply, link: Option<String>) -> Reply {
    match link {
        Some(link) => reply.header("link", &link),
        None => reply,
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub(crate) fn not_accessible() -> Reply {
    Reply::error(403, "Resource not accessible by integration")
}

type Handler = fn(&mut Ask<'_>) -> Said;

/// Method, path below the repository, the areas of the permission (reading needs read, all else write; `!`: for public
/// repositories as well), and what handles it. The first that fits.
const ROUTES: &[(&str, &str, &str, Handler)] = &[
    ("GET", "", "metadata", contents::repository),
    ("GET", "/actions/runs", "actions", actions::runs),
    ("GET", "/actions/runs/{run_id}", "actions", actions::run),
    ("GET", "/actions/runs/{run_id}/jobs", "actions", actions::run_jobs),
    ("GET", "/actions/runs/{run_id}/logs", "actions!", actions::run_logs),
    ("GET", "/actions/runs/{run_id}/attempts/{attempt_number}", "actions", actions::attempt),
    ("GET", "/actions/runs/{run_id}/attempts/{attempt_number}/jobs", "actions", actions::attempt_jobs),
    ("GET", "/actions/runs/{run_id}/attempts/{attempt_number}/logs", "actions!", actions::attempt_logs),
    ("POST", "/actions/runs/{run_id}/rerun-failed-jobs", "actions", actions::rerun),
    ("GET", "/actions/jobs/{job_id}", "actions", actions::job),
    ("GET", "/actions/jobs/{job_id}/logs", "actions!", actions::job_logs),
    ("GET", "/actions/workflows/{workflow_id}/runs", "actions", actions::workflow_runs),
    ("GET", "/check-runs/{check_run_id}", "checks", checks::check_run),
    ("GET", "/check-runs/{check_run_id}/annotations", "checks!", checks::annotations),
    ("GET", "/commits/{ref}/check-runs", "checks", checks::of_commit),
    ("GET", "/commits/{commit_sha}/pulls", "pull-requests", pulls::of_commit),
    ("GET", "/commits/{ref}", "contents", contents::commit),
    ("GET", "/compare/{basehead}", "contents", contents::compare),
    ("GET", "/branches/{branch}", "contents", contents::branch),
    ("GET", "/contents/{path}", "contents", contents::contents),
    ("GET", "/git/ref/{ref}", "contents", git_data::reference),
    ("GET", "/git/matching-refs/{ref}", "contents", git_data::matching),
    ("GET", "/git/commits/{commit_sha}", "contents", git_data::commit),
    ("GET", "/git/trees/{tree_sha}", "contents", git_data::tree),
    ("POST", "/git/blobs", "contents", git_data::make_blob),
    ("POST", "/git/trees", "contents", git_data::make_tree),
    ("POST", "/git/commits", "contents", git_data::make_commit),
    ("POST", "/git/refs", "contents", git_data::make_reference),
    ("PATCH", "/git/refs/{ref}", "contents", git_data::move_reference),
    ("DELETE", "/git/refs/{ref}", "contents", git_data::delete_reference),
    ("GET", "/pulls", "pull-requests", pulls::list),
    ("POST", "/pulls", "pull-requests", pulls::open),
    ("GET", "/pulls/{pull_number}", "pull-requests", pulls::get),
    ("PATCH", "/pulls/{pull_number}", "pull-requests", pulls::change),
    ("GET", "/pulls/{pull_number}/files", "pull-requests", pulls::files),
    ("POST", "/pulls/{pull_number}/requested_reviewers", "pull-requests", reviews::request),
    ("GET", "/pulls/{pull_number}/reviews", "pull-requests", reviews::list),
    ("POST", "/pulls/{pull_number}/reviews", "pull-requests", reviews::create),
    ("GET", "/issues", "issues|pull-requests", issues::list),
    ("POST", "/issues", "issues", issues::open),
    ("GET", "/issues/{issue_number}", "issues|pull-requests", issues::get),
    ("PATCH", "/issues/{issue_number}", "issues|pull-requests", issues::change),
    ("GET", "/issues/{issue_number}/comments", "issues|pull-requests", issues::comments),
    ("POST", "/issues/{issue_number}/comments", "issues|pull-requests", issues::comment),
    ("POST", "/issues/{issue_number}/labels", "issues|pull-requests", issues::add_labels),
    ("PATCH", "/issues/comments/{comment_id}", "issues|pull-requests", issues::change_comment),
];

/// Rests of paths, slashes and all.
const GREEDY: [&str; 4] = ["{ref}", "{path}", "{branch}", "{basehead}"];

/// The parts of a path that fits a pattern.
fn fitting(pattern: &str, segments: &[&str]) -> Option<Vec<String>> {
    let wanted: Vec<&str> = pattern.split('/').skip(1).collect();
    let mut parts = Vec::new();
    for (at, want) in wanted.iter().enumerate() {
        let rest = segments.get(at..).filter(|rest| !rest.is_empty());
        if at + 1 == wanted.len() && GREEDY.contains(want) {
            // The root of the contents has no path.
            let rest = if *want == "{path}" { rest.unwrap_or_default() } else { rest? };
            parts.push(decoded(&rest.join("/")));
            return Some(parts);
        }
        let segment = rest?[0];
        if want.starts_with('{') {
            parts.push(decoded(segment));
        } else if *want != segment {
            return None;
        }
    }
    (wanted.len() == segments.len()).then_some(parts)
}

pub(crate) fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Answers a request. `raw` is its path below `/api/v3`, as it came.
pub(crate) fn answer(state: &mut State, call: &Call, raw: &str) -> Reply {
    watch::leaks(state, call, true);
    let counted = call.path != "/rate_limit";
    let enough = !counted || state.spend();
    let mut reply = if enough {
        said(state, call, raw).unwrap_or_else(|refused| refused)
    } else {
        Reply::error(403, "API rate limit exceeded for installation ID 1.")
    };
    if matches!(reply.body, Body::Json(_) | Body::Empty) && reply.status >= 400 && reply.status != 422 {
        reply.headers.push(("x-github-media-type".to_owned(), "github.v3; format=json".to_owned()));
    }
    reply
}

/// What every answer of the API has.
pub(crate) fn common_headers(state: &State) -> Vec<(String, String)> {
    let rate = &state.rate;
    let header = |name: &str, value: String| (name.to_owned(), value);
    vec![
        header("x-ratelimit-limit", rate.limit.to_string()),
        header("x-ratelimit-remaining", rate.remaining.to_string()),
        header("x-ratelimit-used", (rate.limit - rate.remaining.min(rate.limit)).to_string()),
        header("x-ratelimit-reset", rate.reset.to_string()),
        header("x-ratelimit-resource", "core".to_owned()),
        header("x-github-request-id", format!("{:016X}", fastrand::u64(..))),
        header("x-github-api-version-selected", "2022-11-28".to_owned()),
    ]
}

fn said(state: &mut State, call: &Call, raw: &str) -> Said {
    if !call.headers.contains_key("user-agent") {
        return Err(Reply::error(403, "Request forbidden by administrative rules. Please add a User-Agent header."));
    }
    let known = match call.headers.get("authorization") {
        None => false,
        Some(given) => {
            let token = given.split_once(' ').filter(|(kind, _)| ["bearer", "token"].contains(&&*kind.to_lowercase()));
            if token.is_none_or(|(_, token)| token != state.token) {
                return Err(Reply::error(401, "Bad credentials"));
            }
            true
        }
    };
    let segments: Vec<&str> = raw.trim_start_matches('/').split('/').collect();
    match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["rate_limit"]) => return checked(state, call, "GET /rate_limit", |state| Ok(rate_limit(state))),
        ("GET", ["user"]) => return checked(state, call, "GET /user", |state| user(state, known)),
        _ => {}
    }
    let Some((name, rest)) = (match segments.as_slice() {
        ["repos", owner, name, rest @ ..] => Some((format!("{owner}/{name}"), rest)),
        _ => None,
    }) else {
        return Err(unexpected(state, call));
    };
    let route = ROUTES.iter().filter(|(method, ..)| *method == call.method);
    let Some((parts, &(method, pattern, areas, handler))) =
        route.into_iter().find_map(|route| Some((fitting(route.1, rest)?, route)))
    else {
        return Err(unexpected(state, call));
    };
    let Some(repository) = state.repositories.get(&name) else {
        state.complaints.push(format!("there is no repository {name}: {} {}", call.method, call.path));
        return Err(Reply::missing());
    };
    if !known && repository.private {
        return Err(Reply::missing());
    }
    if !known && (call.writes() || pattern.ends_with("/logs")) {
        return Err(Reply::error(401, "Requires authentication"));
    }
    let access = if call.writes() { "write" } else { "read" };
    let guarded = call.writes() || repository.private || areas.ends_with('!');
    if known && guarded && areas != "metadata" && !state.may(areas.trim_end_matches('!'), access) {
        return Err(not_accessible());
    }
    let operation = format!("{method} {pattern}");
    checked(state, call, &operation, |state| {
        let mut ask = Ask { state, call, full_name: name, parts };
        handler(&mut ask)
    })
}

/// Both sides are held to the description.
fn checked(state: &mut State, call: &Call, operation: &str, handle: impl FnOnce(&mut State) -> Said) -> Said {
    let complaints = schema::request_complaints(operation, &call.query, &call.body);
    if !complaints.is_empty() {
        let said = complaints.join("; ");
        state.complaints.push(format!("{} {} is not as GitHub describes it: {said}", call.method, call.path));
        return Err(Reply::error(422, &format!("Invalid request.\n\n{said}")));
    }
    let said = handle(state);
    let (Ok(reply) | Err(reply)) = &said;
    if let Body::Json(body) = &reply.body {
        for complaint in schema::response_complaints(operation, reply.status, body) {
            state.complaints.push(format!("the fake drifted: {operation} answered {}: {complaint}", reply.status));
        }
    }
    said
}

pub(crate) fn unexpected(state: &mut State, call: &Call) -> Reply {
    state.complaints.push(format!("unexpected request: {} {}", call.method, call.path));
    Reply::missing()
}

fn rate_limit(state: &State) -> Reply {
    let rate = &state.rate;
    let used = rate.limit - rate.remaining.min(rate.limit);
    let budget = json!({"limit": rate.limit, "remaining": rate.remaining, "reset": rate.reset, "used": used});
    let example = schema::example("rate-limit-overview", &state.server, "o/r");
    Reply::json(200, schema::with(example, json!({"resources": {"core": budget.clone()}, "rate": budget})))
}

fn user(state: &State, known: bool) -> Said {
    if !known {
        return Err(Reply::error(401, "Requires authentication"));
    }
    if state.identity.is_installation() {
        return Err(not_accessible());
    }
    let name = "private-user-response-with-public-and-private-profile-information";
    let example = schema::example(name, &state.server, "o/r");
    Ok(Reply::json(200, schema::with(example, state.user(&state.identity.login()))))
}
