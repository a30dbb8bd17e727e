use super::*;

const STALL: Duration = Duration::from_secs(300);

fn event(content: &str, finish: Option<&str>) -> String {
    let choice = serde_json::json!({"index": 0, "delta": {"content": content}, "finish_reason": finish});
    format!("data: {}\n\n", serde_json::json!({"choices": [choice]}))
}

/// Pieces that come after so many seconds each; then the connection stays open.
struct Open(std::vec::IntoIter<(u64, String)>);

impl Chunks for Open {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.0.next() {
            Some((seconds, piece)) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(Some(piece.into_bytes()))
            }
            None => std::future::pending().await,
        }
    }
}

async fn read_open(pieces: Vec<(u64, String)>) -> Result<Said, Failed> {
    read(Open(pieces.into_iter()), Reader::new(1 << 20), Instant::now(), STALL).await
}

#[tokio::test(start_paused = true)]
async fn keepalives_do_not_reset_the_progress_timer() {
    let begun = Instant::now();
    let failed = read_open((0..10_000).map(|_| (10, ": keep-alive\n\n".to_owned())).collect()).await.unwrap_err();
    assert_eq!(begun.elapsed(), STALL);
    assert!(matches!(failed, Failed::Passing { why, .. } if why.contains("without saying anything for 300 s")));
    let failed = read_open((0..10_000).map(|_| (10, "\n".to_owned())).collect()).await.unwrap_err();
    assert!(matches!(failed, Failed::Passing { bill: Bill::Billed(None), .. }));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_that_goes_on_is_waited_for() {
    let mut pieces: Vec<_> = (0..20).map(|_| (299, event("x", None))).collect();
    pieces.push((299, event("", Some("stop"))));
    pieces.push((1, "data: [DONE]\n\n".to_owned()));
    assert_eq!(read_open(pieces).await.unwrap().content.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_whose_connection_stays_open_is_whole() {
    let said = read_open(vec![(1, event("all", Some("stop")))]).await.unwrap();
    assert_eq!(said.content, "all");
}

#[test]
fn a_quota_that_is_used_up_is_no_passing_overload() {
    let options = ModelOptions { base_url: "https://models.example.com".to_owned(), ..ModelOptions::default() };
    let endpoint = Endpoint::new(&options, Arc::new(str::to_owned)).unwrap();
    for name in ["code", "type"] {
        let body = serde_json::json!({"error": {"message": "You exceeded it", name: "insufficient_quota"}}).to_string();
        match endpoint.refusal(429, Some(STALL), None, body.as_bytes()) {
            Failed::Refused { status: 429, advice } => assert!(advice.contains("top up"), "{advice}"),
            other => panic!("{other:?}"),
        }
    }
    let slower = serde_json::json!({"error": {"message": "slower", "code": "rate_limit_exceeded"}}).to_string();
    let failed = endpoint.refusal(429, None, None, slower.as_bytes());
    assert!(matches!(failed, Failed::Passing { bill: Bill::Free, down: false, .. }), "{failed:?}");
}

#[test]
fn only_this_machine_is_loopback() {
    for (url, expected) in [
        ("http://127.0.0.1:8000", true),
        ("http://127.8.9.1", true),
        ("http://[::1]:1", true),
        ("http://localhost:9", true),
        ("http://model.localhost", true),
        ("http://10.0.0.1", false),
        ("http://localhost.example.com", false),
        ("http://127.0.0.1.example.com", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
    }
}
