use super::*;

fn asked() -> Asked<'static> {
    Asked { model: "m", deepseek: false, effort: None, user: Some("abc") }
}

fn secretless(text: &str) -> String {
    text.replace("s3cret", "<secret>").replace("line\nbreak", "<lines>")
}

fn said(chunks: &[Value]) -> Said {
    let mut said = Said::default();
    for chunk in chunks {
        said.absorb(chunk).unwrap();
    }
    said
}

#[test]
fn no_string_of_a_prompt_leaves_unredacted() {
    let call = ToolCall {
        id: "c1".into(),
        name: "run".into(),
        arguments: r#"{"s3cret":["a s3cret",{"x":"line\nbreak"}]}"#.into(),
    };
    let odd = ToolCall { id: "c2".into(), name: "run".into(), arguments: "not json s3cret".into() };
    let twice = ToolCall { id: "c3".into(), name: "run".into(), arguments: r#"{"a":"s3cret","a":"x"}"#.into() };
    let mut assistant = Message::new(Role::Assistant, "said s3cret");
    assistant.reasoning = Some("thought s3cret".into());
    assistant.tool_calls = vec![call.clone(), odd, twice];
    let messages = vec![
        Message::new(Role::System, "system s3cret"),
        Message::new(Role::User, "File \"/home/s3cret/a.py\""),
        assistant,
        Message::tool(&call, "result s3cret"),
    ];
    let parameters = json!({"type": "object", "description": "s3cret", "properties": {"s3cret": {"enum": ["s3cret"]}}});
    let tools = vec![Tool { name: "run".into(), description: "runs s3cret".into(), parameters }];
    let body = request(&Prompt { step: "loop", messages, tools, max_tokens: 9 }, &asked(), &secretless);
    let text = body.to_string();
    assert!(!text.contains("s3cret"), "{text}");
    let arguments: Value =
        serde_json::from_str(body["messages"][2]["tool_calls"][0]["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"<secret>": ["a <secret>", {"x": "<lines>"}]}));
    assert_eq!(body["messages"][3]["tool_call_id"], body["messages"][2]["tool_calls"][0]["id"]);
}

#[test]
fn arguments_stay_to_the_letter_or_become_json() {
    let same = |text: &str| text.to_owned();
    assert_eq!(arguments(r#"{ "b":1,  "a" : 2 }"#, &same), r#"{ "b":1,  "a" : 2 }"#);
    assert_eq!(arguments("  ", &same), "{}");
    assert_eq!(arguments("{\"a\": ", &same), r#"{"not_json":"{\"a\": "}"#);
}

#[test]
fn thoughts_are_sent_back_and_only_asked_for_where_they_are_known() {
    let mut assistant = Message::new(Role::Assistant, "");
    assistant.reasoning = Some("first this".into());
    let prompt = Prompt { step: "loop", messages: vec![assistant], tools: Vec::new(), max_tokens: 77 };
    let body = |asked: Asked<'_>| request(&prompt, &asked, &|text| text.to_owned());
    let plain = body(asked());
    assert_eq!(plain["messages"][0]["reasoning_content"], "first this");
    assert_eq!(plain["max_tokens"], 77);
    assert_eq!(plain["stream_options"]["include_usage"], true);
    for field in ["thinking", "reasoning_effort", "user_id", "temperature", "tools"] {
        assert!(plain.get(field).is_none(), "{field}");
    }
    let deepseek = body(Asked { deepseek: true, ..asked() });
    assert_eq!(deepseek["user_id"], "abc");
    assert!(deepseek.get("thinking").is_none());
    let max = body(Asked { deepseek: true, effort: Some("max"), ..asked() });
    assert_eq!((&max["thinking"]["type"], &max["reasoning_effort"]), (&json!("enabled"), &json!("max")));
    let none = body(Asked { deepseek: true, effort: Some("none"), ..asked() });
    assert_eq!(none["thinking"]["type"], "disabled");
    assert!(none.get("reasoning_effort").is_none());
}

#[test]
fn tool_calls_are_put_together_by_their_index() {
    let delta = |calls: Value| json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]});
    let said = said(&[
        delta(json!([{"index": 1, "id": "b", "function": {"name": "two", "arguments": ""}}])),
        delta(json!([{"index": 0, "id": "a", "function": {"name": "one", "arguments": "{\"x\""}}])),
        delta(json!([{"index": 1, "function": {"arguments": "{}"}}, {"index": 0, "function": {"arguments": ":1}"}}])),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    ]);
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
    };
    assert_eq!(said.tool_calls(), [call("a", "one", "{\"x\":1}"), call("b", "two", "{}")]);
    assert_eq!(said.finish(), Finish::ToolCalls);
    assert!(!said.is_blank());
}

#[test]
fn calls_without_index_or_id_are_told_apart() {
    let delta = |calls: Value| json!({"choices": [{"delta": {"tool_calls": calls}}]});
    let said = said(&[
        delta(json!([{"id": "a", "function": {"name": "one", "arguments": "{"}}])),
        delta(json!([{"function": {"arguments": "}"}}])),
        delta(json!([{"id": "b", "function": {"name": "two", "arguments": {"y": 2}}}])),
    ]);
    let told: Vec<_> = said.tool_calls().into_iter().map(|call| (call.id, call.arguments)).collect();
    assert_eq!(told, [("a".to_owned(), "{}".to_owned()), ("b".to_owned(), "{\"y\":2}".to_owned())]);
}

#[test]
fn an_endless_list_of_calls_is_an_error() {
    let calls: Vec<Value> = (0..200).map(|index| json!({"index": index, "id": "x"})).collect();
    let chunk = json!({"choices": [{"delta": {"tool_calls": calls}}]});
    assert!(Said::default().absorb(&chunk).unwrap_err().contains("more than 128"));
}

#[test]
fn usage_is_read_as_deepseek_and_as_openai_word_it_and_absurd_counts_are_none() {
    let usage = |usage: Value| said(&[json!({"choices": [], "usage": usage})]).tokens;
    let deepseek = json!({"prompt_tokens": 100, "completion_tokens": 7, "prompt_cache_hit_tokens": 64});
    assert_eq!(usage(deepseek), Some(Tokens { prompt: 100, cached: 64, completion: 7 }));
    let openai = json!({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 640}});
    assert_eq!(usage(openai), Some(Tokens { prompt: 100, cached: 100, completion: 7 }));
    assert_eq!(usage(json!({"prompt_tokens": 100, "completion_tokens": u64::MAX})), None);
    assert_eq!(usage(json!({"prompt_tokens": -1, "completion_tokens": 2})), None);
    assert_eq!(usage(Value::Null), None);
}

#[test]
fn an_answer_without_resources_is_cut_and_a_filtered_one_is_not() {
    let finish = |reason: &str| said(&[json!({"choices": [{"message": {"content": "x"}, "finish_reason": reason}]})]);
    assert!(finish("insufficient_system_resource").is_cut());
    assert!(!finish("content_filter").is_cut());
    assert_eq!(finish("content_filter").finish(), Finish::Other);
    assert_eq!(finish("length").finish(), Finish::Length);
    assert!(Said::default().is_cut());
}
