//! Environments of several jobs are built side by side.

use std::{
    io::{Cursor, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use crate::world::{Step, TEST, UNITTEST, World, log, skipped, unittest_failure};

/// A wheel of an empty package.
fn wheel(name: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    let kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned();
    for (file, text) in [("METADATA", metadata), ("WHEEL", kind), ("RECORD", String::new())] {
        archive.start_file(format!("{name}-1.0.dist-info/{file}"), options).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Serves wheels, but to nobody before two ask at once.
fn serve(listener: TcpListener, asking: Arc<(Mutex<usize>, Condvar)>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let asking = Arc::clone(&asking);
        std::thread::spawn(move || answer(stream, &asking));
    }
}

fn answer(mut stream: TcpStream, asking: &(Mutex<usize>, Condvar)) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let (count, changed) = asking;
    let mut asked = count.lock().unwrap();
    *asked += 1;
    changed.notify_all();
    while *asked < 2 {
        let (next, waited) = changed.wait_timeout(asked, Duration::from_secs(100)).unwrap();
        asked = next;
        if waited.timed_out() {
            return;
        }
    }
    drop(asked);
    let name = if request.contains("first") { "first" } else { "second" };
    let wheel = wheel(name);
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", wheel.len());
    let _ = stream.write_all(&wheel);
}

#[test]
fn environments_of_two_jobs_are_built_at_once() {
    let world = World::new();
    let Ok(listener) = TcpListener::bind("127.0.0.1:0") else { return skipped("nothing can listen on localhost") };
    let port = listener.local_addr().unwrap().port();
    let asking = Arc::new((Mutex::new(0), Condvar::new()));
    let served = Arc::clone(&asking);
    std::thread::spawn(move || serve(listener, served));
    world.repository(&[
        ("tiny/__init__.py", "def one():\n    return json.loads('1')\n"),
        ("tests/__init__.py", ""),
        (TEST, "import unittest\nimport tiny\n\n\nclass TinyTest(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(tiny.one(), 1)\n"),
    ]);
    let failure = unittest_failure("test_one", "tiny/__init__.py", "NameError: name 'json' is not defined");
    for name in ["first", "second"] {
        let install = format!("pip install --retries 0 http://127.0.0.1:{port}/{name}-1.0-py3-none-any.whl");
        let done = format!("Successfully installed {name}-1.0");
        world.file(&format!("{name}.log"), log(&[Step(&install, &done, 0), Step(UNITTEST, &failure, 1)]));
    }
    let cache = world.path("cache");
    let logs = ["--log", "first.log", "--log", "second.log"];
    let fix = ["fix", "--repo", "tiny", "--rules-only", "--cache-dir", cache.to_str().unwrap()];
    // Each waits for the other: built one after the other, neither could be.
    world
        .run(&[&fix[..], &logs].concat())
        .exits_with(0)
        .prints("fixed")
        .complains(&["environments: of 2 jobs, at once"]);
    assert_eq!(*asking.0.lock().unwrap(), 2);
}
