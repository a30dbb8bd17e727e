use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Answers of an index by path: a status line's rest, and a body.
type Answers = BTreeMap<String, (String, Vec<u8>)>;

/// A tiny index on this machine.
pub(crate) async fn serve(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(answers);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answers = answers.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                        _ => return,
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                assert!(!request.to_lowercase().contains("authorization"), "credentials were sent");
                let path = request.split(' ').nth(1).unwrap_or_default();
                let missing = ("404 Not Found".to_owned(), Vec::new());
                let (status, body) = answers.get(path).unwrap_or(&missing);
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(body).await;
            });
        }
    });
    format!("http://{address}/simple")
}

/// A wheel that holds these files.
pub(crate) fn wheel(files: &[&str]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for file in files {
        writer.start_file(*file, options).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The page of a package, and its wheels: version, `upload-time`, `requires-python`, and what a wheel holds.
pub(crate) fn publish(answers: &mut Answers, name: &str, versions: &[(&str, &str, &str, &[&str])]) {
    let mut files = Vec::new();
    for (version, uploaded, python, holds) in versions {
        let file = format!("{}-{version}-py3-none-any.whl", name.replace('-', "_"));
        let body = wheel(holds);
        let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        files.push(serde_json::json!({
            "filename": file, "url": format!("../../files/{file}"), "hashes": {"sha256": digest},
            "requires-python": python, "size": body.len(), "upload-time": uploaded, "yanked": false,
        }));
        answers.insert(format!("/files/{file}"), ("200 OK".to_owned(), body));
    }
    let page = serde_json::json!({"meta": {"api-version": "1.1"}, "name": name, "files": files});
    answers.insert(format!("/simple/{name}/"), ("200 OK".to_owned(), page.to_string().into_bytes()));
}

const OLD: &str = "2020-01-02T03:04:05.678901Z";

fn now() -> SystemTime {
    instant("2026-11-22T00:00:00Z").unwrap()
}

async fn index(versions: &[(&str, &str, &str, &[&str])]) -> Registry {
    let mut answers = Answers::new();
    publish(&mut answers, "zebra-stripes", versions);
    Registry::new(&serve(answers).await).unwrap()
}

async fn refusal(registry: &Registry) -> String {
    registry.admit("zebra-stripes", "zebra", Some("3.9"), now()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_old_package_that_provides_the_module_is_admitted() {
    let versions: &[(&str, &str, &str, &[&str])] = &[
        ("1.2.0", OLD, ">=3.7", &["zebra/__init__.py"]),
        ("1.10.0", "2024-01-01T00:00:00Z", ">=3.8", &["zebra/__init__.py", "zebra_stripes-1.10.0.dist-info/RECORD"]),
        ("2.0.0", "2025-01-01T00:00:00Z", ">=3.12", &["zebra/__init__.py"]),
        ("3.0.0rc1", "2025-01-01T00:00:00Z", ">=3.8", &["zebra/__init__.py"]),
    ];
    let registry = index(versions).await;
    let (package, version) = registry.admit("Zebra_Stripes", "zebra", Some("3.9.18"), now()).await.unwrap();
    assert_eq!(version.to_string(), "1.10.0");
    assert_eq!(package.newest_stable.as_deref(), Some("2.0.0"));
    assert_eq!(package.first_upload, instant(OLD));
    assert_eq!(package.newest_for(Some("3.7")).unwrap().to_string(), "1.2.0");
}

#[tokio::test]
async fn a_young_package_is_refused() {
    let registry = index(&[("1.0", "2026-10-01T00:00:00Z", ">=3", &["zebra/__init__.py"])]).await;
    assert!(refusal(&registry).await.contains("less than 90 days"));
}

#[tokio::test]
async fn a_package_without_dates_or_wheels_is_refused() {
    let page = |file: serde_json::Value| {
        let page = serde_json::json!({"files": [file]}).to_string().into_bytes();
        Answers::from([("/simple/zebra-stripes/".to_owned(), ("200 OK".to_owned(), page))])
    };
    let undated = page(serde_json::json!({"filename": "zebra_stripes-1.0-py3-none-any.whl", "url": "x"}));
    let registry = Registry::new(&serve(undated).await).unwrap();
    assert!(refusal(&registry).await.contains("does not say when"));
    let source = page(serde_json::json!({"filename": "zebra-stripes-1.0.tar.gz", "url": "x", "upload-time": OLD}));
    let registry = Registry::new(&serve(source).await).unwrap();
    assert!(refusal(&registry).await.contains("no wheel"));
}

#[tokio::test]
async fn a_package_without_the_module_is_refused() {
    let registry = index(&[("1.0", OLD, ">=3", &["other/zebra/__init__.py", "zebra.txt", "zebra/data.json"])]).await;
    assert!(refusal(&registry).await.contains("does not provide the module `zebra`"));
}

#[tokio::test]
async fn a_wheel_that_differs_from_its_hash_is_refused() {
    let mut answers = Answers::new();
    publish(&mut answers, "zebra-stripes", &[("1.0", OLD, ">=3", &["zebra/__init__.py"])]);
    for (path, answer) in &mut answers {
        if path.ends_with(".whl") {
            answer.1 = wheel(&["zebra/__init__.py", "more.py"]);
        }
    }
    let registry = Registry::new(&serve(answers).await).unwrap();
    assert!(refusal(&registry).await.contains("differs from its hash"));
}

#[tokio::test]
async fn an_unknown_package_and_a_broken_index_are_told_apart() {
    let broken = Answers::from([
        ("/simple/zebra-stripes/".to_owned(), ("200 OK".to_owned(), b"<html>".to_vec())),
        ("/simple/busy/".to_owned(), ("503 Service Unavailable".to_owned(), Vec::new())),
    ]);
    let registry = Registry::new(&serve(broken).await).unwrap();
    assert!(matches!(registry.look_up("nothing").await, Err(RegistryError::Unknown(_))));
    assert!(matches!(registry.look_up("zebra-stripes").await, Err(RegistryError::Answer(..))));
    assert!(matches!(registry.look_up("busy").await, Err(RegistryError::Unreachable(_))));
    assert!(matches!(registry.look_up("a/../b").await, Err(RegistryError::Name(_))));
    let closed = Registry::new("http://127.0.0.1:1/simple").unwrap();
    assert!(matches!(closed.look_up("zebra").await, Err(RegistryError::Unreachable(_))));
}

#[tokio::test]
async fn redirects_are_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let head =
                "HTTP/1.1 302 Found\r\nlocation: /simple/loop/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    let registry = Registry::new(&format!("http://{address}/simple")).unwrap();
    assert!(matches!(registry.look_up("loop").await, Err(RegistryError::Unreachable(_))));
}

#[test]
fn credentials_are_dropped_from_the_address() {
    let registry = Registry::new("https://user:secret@index.example/simple?token=secret").unwrap();
    assert_eq!(registry.index(), "https://index.example/simple/");
    assert!(!format!("{registry:?}").contains("secret"));
    assert!(matches!(Registry::new("file:///etc"), Err(RegistryError::Address)));
}

#[test]
fn names_one_letter_from_a_popular_one_are_told() {
    assert_eq!(near_name("reqeusts"), Some("requests"));
    assert_eq!(near_name("requets"), Some("requests"));
    assert_eq!(near_name("requestss"), Some("requests"));
    assert_eq!(near_name("requests"), None);
    assert_eq!(near_name("PyYAML"), None);
    assert_eq!(near_name("zebra-stripes"), None);
}

#[test]
fn instants_are_read() {
    let seconds = |text| instant(text).map(|at| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(seconds("2024-02-29T12:00:01.5Z"), Some(1_709_208_001));
    assert_eq!(seconds("2026-11-22T00:00:00Z"), Some(1_795_305_600));
    assert_eq!(seconds("yesterday"), None);
}

#[test]
fn modules_are_read_from_file_lists() {
    for file in ["a/__init__.py", "a.py", "a.cpython-312-x86_64-linux-gnu.so", "a/b/c.py", "x-1.data/purelib/a.py"] {
        assert!(is_of_module(file, "a"), "{file}");
    }
    for file in ["b/a.py", "a.txt", "a/x.json", "ab.py", "a-1.dist-info/RECORD", "x-1.data/scripts/a.py"] {
        assert!(!is_of_module(file, "a"), "{file}");
    }
}
