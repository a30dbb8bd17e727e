use super::*;
use proptest::prelude::*;

const MOST: usize = 1 << 20;

fn read(chunks: &[&[u8]]) -> Result<Said, Broken> {
    let mut reader = Reader::new(MOST);
    for chunk in chunks {
        reader.feed(chunk)?;
    }
    reader.finish()
}

fn content(body: &str) -> String {
    let said = read(&[body.as_bytes()]).unwrap();
    assert!(said.complete);
    said.content
}

fn event(content: &str) -> String {
    format!("data: {}\n\n", serde_json::json!({"choices": [{"index": 0, "delta": {"content": content}}]}))
}

const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

#[test]
fn a_stream_is_read_whatever_stands_around_the_events() {
    let plain = format!("{}{}{END}data: [DONE]\n\n", event("Hé"), event("llo"));
    assert_eq!(content(&plain), "Héllo");
    assert_eq!(content(&format!("\n\n\r\n: keep-alive\n\n{plain}")), "Héllo");
    assert_eq!(content(&plain.replace('\n', "\r\n")), "Héllo");
    assert_eq!(content(&plain.replace('\n', "\r")), "Héllo");
    assert_eq!(content(&plain.replace("data: ", "data:")), "Héllo");
    assert_eq!(content(&plain.replace("data: [DONE]\n\n", "")), "Héllo");
    assert_eq!(content(&plain.replace("\n\n", "\n")), "Héllo");
    assert_eq!(content(&format!("\u{feff}event: message\nid: 7\nretry: 10\n{plain}")), "Héllo");
    assert_eq!(content(plain.trim_end()), "Héllo");
}

#[test]
fn an_event_of_several_lines_is_one() {
    for newline in ["\n", "\r\n"] {
        let body = [
            "data: {\"choices\":",
            "data: [{\"delta\":{\"content\":\"x\"},",
            "data: \"finish_reason\":\"stop\"}]}",
            "",
            "",
        ];
        assert_eq!(content(&body.join(newline)), "x");
    }
}

#[test]
fn nothing_after_the_end_mark_counts() {
    let mut reader = Reader::new(MOST);
    reader.feed(format!("{}{END}data: [DONE]\n\nwhat is this?\n{}", event("a"), event("b")).as_bytes()).unwrap();
    assert!(reader.is_done());
    assert_eq!(reader.finish().unwrap().content, "a");
}

#[test]
fn plain_json_is_read_after_blank_lines() {
    let body = "\n\n  \r\n{\"choices\":[{\"message\":{\"content\":\"hi\",\"reasoning_content\":\"hm\"},\"finish_reason\":\"stop\"}]}\n";
    let said = read(&[body.as_bytes()]).unwrap();
    assert_eq!((said.content.as_str(), said.reasoning.as_str(), said.is_cut()), ("hi", "hm", false));
}

#[test]
fn what_stops_in_the_middle_is_cut_and_no_error() {
    let whole = format!("{}{}{END}data: [DONE]\n\n", event("one"), event("two"));
    let middle = whole.find("two").unwrap();
    let said = read(&[&whole.as_bytes()[..middle]]).unwrap();
    assert!(said.is_cut());
    assert_eq!(said.content, "one");
    assert!(read(&[b"{\"choices\":[{\"message\":{\"content\":\"h"]).unwrap().is_cut());
}

#[test]
fn blank_lines_and_comments_are_no_news() {
    let mut reader = Reader::new(MOST);
    for nothing in ["\n", "\r\n", ": keep-alive\n\n", "event: ping\n", "data: {\"choices\":[]}\n\n", "   \n"] {
        assert_eq!(reader.feed(nothing.as_bytes()), Ok(false), "{nothing:?}");
    }
    assert_eq!(reader.feed(event("").as_bytes()), Ok(false));
    assert_eq!(reader.feed(event("x").as_bytes()), Ok(true));
    let mut plain = Reader::new(MOST);
    assert_eq!(plain.feed(b"\n\n"), Ok(false));
    assert_eq!(plain.feed(b"{\"a\""), Ok(true));
    assert_eq!(plain.feed(b"\n \n"), Ok(false));
}

#[test]
fn garbage_complaints_and_floods_are_errors() {
    assert!(matches!(read(&[b"<html>\n</html>"]), Err(Broken::Garbage(_))));
    assert!(matches!(read(&[b""]), Err(Broken::Garbage(_))));
    assert!(matches!(read(&[b"data: {oops}\n\n"]), Err(Broken::Garbage(_))));
    assert!(matches!(read(&[b"data: [1]\n\n"]), Err(Broken::Garbage(_))));
    let complaint = Err(Broken::Complaint("overloaded".to_owned()));
    assert_eq!(read(&[b"data: {\"error\":{\"message\":\"overloaded\"}}\n\n"]), complaint);
    assert_eq!(read(&[b"{\"error\":\"overloaded\"}"]), complaint);
    let flood = vec![b'x'; MOST + 1];
    assert_eq!(read(&[&flood]), Err(Broken::TooLarge(MOST)));
}

#[test]
fn a_letter_that_is_no_utf8_costs_no_more_than_the_letter() {
    let mut body = event("a?b").into_bytes();
    let at = body.iter().position(|byte| *byte == b'?').unwrap();
    body[at] = 0xff;
    body.extend_from_slice(END.as_bytes());
    assert_eq!(read(&[&body]).unwrap().content, "a\u{fffd}b");
}

/// Bytes that come close to a stream, and such that do not.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        ".{0,12}".prop_map(|text| event(&text).into_bytes()),
        Just(END.as_bytes().to_vec()),
        Just(b"data: [DONE]\r\n\r\n".to_vec()),
        Just(b": keep-alive\n\n".to_vec()),
        Just(b"\r\n\r\n\n".to_vec()),
        Just("data:{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"ü\",\"arguments\":\"é\"}}]}}]}\n\n".into()),
        Just(b"data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4},\"choices\":null}\n".to_vec()),
        Just(b"{\"choices\":[{\"message\":{\"content\":[{\"text\":\"x\"}]}}]}".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn where_chunks_end_changes_nothing(body in bodies(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8), most in prop_oneof![Just(MOST), 0usize..200]) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
        at.sort_unstable();
        let read = |chunks: &mut dyn Iterator<Item = &[u8]>| {
            let mut reader = Reader::new(most);
            for chunk in chunks {
                reader.feed(chunk)?;
            }
            reader.finish()
        };
        let whole = read(&mut std::iter::once(&body[..]));
        let pieces = read(&mut at.windows(2).map(|ends| &body[ends[0]..ends[1]]));
        let bytes = read(&mut body.chunks(1));
        prop_assert_eq!(&whole, &pieces);
        prop_assert_eq!(&whole, &bytes);
    }

    #[test]
    fn no_bytes_are_a_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&[&body]);
        let _ = read(&[b"data: ", &body, b"\n\n"]);
        let _ = read(&[b"{", &body]);
    }
}
