//! A Dagger engine for tests, after the recordings in `facts/dagger-recordings`: the CLI's one line, GraphQL over HTTP that
//! is parsed and not compared, and Dockerfiles whose steps are really run (`build.rs`).

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use graphql_parser::query::{
    Definition, Field, OperationDefinition, Selection, SelectionSet, Value as Given, parse_query,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_repair::sandbox::DaggerPlace;

use crate::build::{Builder, Failed};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The token is not the one.
    Unauthorized,
    /// So many builds are answered; then the engine is gone.
    GoneAfter(u32),
    /// So many builds are answered; the next one fails as if the engine was gone, and those after it are answered.
    LostAt(u32),
}

/// How the CLI behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cli {
    Normal,
    /// Another version.
    Older,
    /// Says why, and ends without a session.
    Refuses,
    /// Neither gives a session nor ends.
    Silent,
}

struct Inner {
    builder: Builder,
    store: PathBuf,
    token: String,
    fault: Fault,
    builds: u32,
    /// Everything that was asked, for those who look afterwards.
    asked: Vec<Value>,
}

/// The engine.
pub(crate) struct Fake {
    directory: TempDir,
    inner: Arc<Mutex<Inner>>,
}

/// A directory of the engine's: what it is made of, in order.
#[derive(Clone, Default)]
struct Directory(Vec<(String, Part)>);

#[derive(Clone)]
enum Part {
    Tree(PathBuf),
    File(String),
}

enum Object {
    Query,
    Host,
    Directory(Directory),
    /// An image that nothing has been done to: its name.
    Image(Option<String>),
    Container(PathBuf),
    File(PathBuf),
    Scalar(Value),
}

impl Fake {
    /// Starts one.
    pub(crate) fn start(cli: Cli, fault: Fault) -> Fake {
        let directory = tempfile::Builder::new().prefix("engine-").tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let store = directory.path().join("store");
        fs::create_dir(&store).unwrap();
        let token = format!("token-{}", fastrand::u64(..));
        let inner = Inner {
            builder: Builder::new(directory.path().join("layers")),
            store,
            token: token.clone(),
            fault,
            builds: 0,
            asked: Vec::new(),
        };
        let inner = Arc::new(Mutex::new(inner));
        let app = Router::new().route("/query", post(query)).with_state(Arc::clone(&inner));
        let (told, told_to) = std::sync::mpsc::channel::<SocketAddr>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        let port = told_to.recv().unwrap().port();
        let given = if fault == Fault::Unauthorized { "another".to_owned() } else { token };
        let line = json!({"port": port, "session_token": given});
        let left = directory.path().join("left");
        let session = match cli {
            Cli::Normal | Cli::Older => format!(
                "env > {env}\necho started >> {left}\necho '{line}'\necho noise\ncat > /dev/null\necho ended >> {left}",
                env = directory.path().join("env").display(),
                left = left.display()
            ),
            Cli::Refuses => "echo 'Error: driver for scheme \"image\" was not available' >&2\nexit 1".to_owned(),
            Cli::Silent => "trap '' TERM\nsleep 3000 & wait\nsleep 3000".to_owned(),
        };
        let version = if cli == Cli::Older { "v0.18.2" } else { "v0.21.8" };
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = version ]; then echo 'dagger {version} (image://registry.dagger.io/engine:{version}) \
             linux/amd64'; exit 0; fi\n[ \"$2\" = session ] || exit 2\n{session}\n"
        );
        let path = directory.path().join("dagger");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Fake { directory, inner }
    }

    /// Where it is.
    pub(crate) fn place(&self) -> DaggerPlace {
        DaggerPlace { cli: Some(self.cli()), runner: Some("container://fake".to_owned()) }
    }

    /// The CLI.
    pub(crate) fn cli(&self) -> PathBuf {
        self.directory.path().join("dagger")
    }

    /// What the CLI's sessions did: `started`, `ended`.
    pub(crate) fn sessions(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.path().join("left")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The environment that the CLI was started in.
    pub(crate) fn environment(&self) -> String {
        fs::read_to_string(self.directory.path().join("env")).unwrap_or_default()
    }

    /// Everything that was asked.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.inner.lock().unwrap().asked.clone()
    }

    /// How often a step was really run.
    pub(crate) fn ran(&self, of: &str) -> usize {
        self.inner.lock().unwrap().builder.ran.iter().filter(|line| line.contains(of)).count()
    }
}

async fn query(State(inner): State<Arc<Mutex<Inner>>>, headers: HeaderMap, body: Bytes) -> Response {
    // The steps of a build block, as an engine's do.
    tokio::task::spawn_blocking(move || answer(&inner, &headers, &body)).await.unwrap()
}

fn answer(inner: &Mutex<Inner>, headers: &HeaderMap, body: &[u8]) -> Response {
    let mut inner = inner.lock().unwrap();
    let token = format!("Basic {}", STANDARD.encode(format!("{}:", inner.token)));
    if headers.get("authorization").and_then(|v| v.to_str().ok()) != Some(&token) {
        let challenge = [("www-authenticate", "Basic realm=\"Access to the Dagger engine session\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    inner.asked.push(body.clone());
    let text = body["query"].as_str().unwrap().to_owned();
    let document = match parse_query::<String>(&text) {
        Ok(document) => document,
        Err(error) => {
            let said = json!({"errors": [{"message": error.to_string(), "extensions": {"code": "GRAPHQL_PARSE_FAILED"}}], "data": null});
            return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(said)).into_response();
        }
    };
    let [Definition::Operation(OperationDefinition::Query(query))] = document.definitions.as_slice() else {
        panic!("one query at a time: {text}")
    };
    if text.contains("dockerBuild") {
        inner.builds += 1;
        let gone = match inner.fault {
            Fault::GoneAfter(builds) => inner.builds > builds,
            Fault::LostAt(build) => inner.builds == build,
            _ => false,
        };
        if gone {
            return (StatusCode::BAD_GATEWAY, "failed to connect to the engine: connection refused").into_response();
        }
    }
    let mut path = Vec::new();
    match inner.select(Object::Query, &query.selection_set, &body["variables"], &mut path) {
        Ok(data) => axum::Json(json!({"data": data})).into_response(),
        Err(mut error) => {
            error["path"] = path.into();
            axum::Json(json!({"errors": [error], "data": null})).into_response()
        }
    }
}

/// The arguments of a field, with the variables put in.
fn arguments(field: &Field<'_, String>, variables: &Value) -> BTreeMap<String, Value> {
    let value = |given: &Given<'_, String>| match given {
        Given::Variable(name) => variables[name.as_str()].clone(),
        Given::String(text) => json!(text),
        Given::Boolean(flag) => json!(flag),
        other => panic!("an argument of another kind: {other}"),
    };
    field.arguments.iter().map(|(name, given)| (name.clone(), value(given))).collect()
}

impl Inner {
    fn select(
        &mut self,
        object: Object,
        selection: &SelectionSet<'_, String>,
        variables: &Value,
        path: &mut Vec<String>,
    ) -> Result<Value, Value> {
        if let Object::Scalar(value) = object {
            return Ok(value);
        }
        let [Selection::Field(field)] = selection.items.as_slice() else { panic!("one field at a time") };
        path.push(field.name.clone());
        let given = arguments(field, variables);
        let text = |name: &str| given[name].as_str().unwrap().to_owned();
        let next = match (object, field.name.as_str()) {
            (Object::Query, "host") => Object::Host,
            (Object::Query, "directory") => Object::Directory(Directory::default()),
            (Object::Query, "container") => Object::Image(None),
            (Object::Query, "version") => Object::Scalar(json!("v0.21.8")),
            (Object::Host, "directory") => {
                assert_eq!(given["noCache"], true, "a directory is read once a session, unless one says so");
                let from = PathBuf::from(text("path"));
                if !from.is_dir() {
                    let said = format!("lstat {}: no such file or directory", from.display());
                    return Err(json!({"message": said}));
                }
                let name = format!("{}", fs::read_dir(&self.store).unwrap().count());
                let to = self.store.join(&name);
                copy(&from, &to);
                Object::Directory(Directory(vec![(String::new(), Part::Tree(to))]))
            }
            (Object::Image(None), "from") => {
                let address = text("address");
                if !self.builder.has_image(&address) {
                    let said = format!("failed to resolve image \"{address}\" (platform: \"linux/amd64\"): not found");
                    return Err(json!({"message": said}));
                }
                Object::Image(Some(address))
            }
            (Object::Image(Some(name)), "imageRef") => {
                Object::Scalar(json!(format!("docker.io/library/{name}@sha256:{}", "0".repeat(64))))
            }
            (Object::Directory(directory), "id") => {
                let [(_, Part::Tree(tree))] = directory.0.as_slice() else { panic!("an id of what was sent only") };
                let name = tree.file_name().unwrap().to_str().unwrap();
                Object::Scalar(json!(STANDARD.encode(name)))
            }
            (Object::Directory(mut directory), "withDirectory") => {
                let name = String::from_utf8(STANDARD.decode(text("source")).unwrap()).unwrap();
                let tree = self.store.join(name);
                assert!(tree.is_dir(), "a handle that nobody gave out");
                directory.0.push((text("path"), Part::Tree(tree)));
                Object::Directory(directory)
            }
            (Object::Directory(mut directory), "withNewFile") => {
                directory.0.push((text("path"), Part::File(text("contents"))));
                Object::Directory(directory)
            }
            (Object::Directory(directory), "dockerBuild") => {
                let context = tempfile::tempdir().unwrap();
                for (path, part) in &directory.0 {
                    let path = context.path().join(path);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    match part {
                        Part::Tree(tree) => copy(tree, &path),
                        Part::File(text) => fs::write(&path, text).unwrap(),
                    }
                }
                let dockerfile = fs::read_to_string(context.path().join(text("dockerfile"))).unwrap();
                match self.builder.build(&dockerfile, context.path()) {
                    Ok(root) => Object::Container(root),
                    Err(Failed { command, code, stdout, stderr }) => {
                        return Err(json!({
                            "message": format!("exit code: {code} [traceparent:0-0]"),
                            "extensions": {"_type": "EXEC_ERROR", "cmd": ["/bin/sh", "-c", command], "exitCode": code,
                                "stdout": stdout, "stderr": stderr},
                        }));
                    }
                }
            }
            (Object::Container(root), "file") => Object::File(root.join(text("path").trim_start_matches('/'))),
            (Object::File(path), "contents") => match fs::read_to_string(&path) {
                Ok(text) => Object::Scalar(json!(text)),
                Err(_) => return Err(json!({"message": format!("stat {}: no such file", path.display())})),
            },
            (_, other) => {
                let said = format!("Cannot query field \"{other}\"");
                return Err(json!({"message": said, "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}));
            }
        };
        let value = self.select(next, &field.selection_set, variables, path)?;
        Ok(json!({field.name.as_str(): value}))
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-aT").args([from, to]).status().unwrap();
    assert!(copied.success());
}
