mod limits;
mod records;

use serde_json::json;

use super::*;
use crate::llm::{
    BudgetLimits, Message, NoRecords, Price, Role, Tool,
    tests::endpoint::{Endpoint as Fake, Say},
};

const KEY: &str = "sk-this-is-the-very-secret-key";
/// A dollar for a million tokens.
const PRICE: Price = Price { cached: 0.5, prompt: 1.0, completion: 1.0 };

fn options(url: String) -> ModelOptions {
    ModelOptions {
        base_url: url,
        key: Some(KEY.to_owned()),
        model: "m".to_owned(),
        price: Some(PRICE),
        call_deadline: Duration::from_secs(120),
        stall: Duration::from_secs(60),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
        per_minute: 100_000,
        ..ModelOptions::default()
    }
}

fn model(options: ModelOptions) -> Model {
    Model::new(options, Arc::new(|text| text.replace("hunter2", "<secret>")), Arc::new(NoRecords)).unwrap()
}

fn prompt(text: &str) -> Prompt {
    Prompt { step: "question", messages: vec![Message::new(Role::User, text)], tools: Vec::new(), max_tokens: 2000 }
}

/// What a script makes of one question.
async fn ask(script: Vec<Say>) -> (Result<Completion, LlmError>, Model, Fake) {
    let fake = Fake::start(script);
    let model = model(options(fake.url()));
    let result = model.complete(&prompt("why?")).await;
    fake.assert_done();
    (result, model, fake)
}

fn refused(options: ModelOptions) -> String {
    match Model::new(options, Arc::new(str::to_owned), Arc::new(NoRecords)) {
        Err(LlmError::Options(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_streamed_answer_comes_with_its_exact_cost() {
    let (answer, model, fake) = ask(vec![Say::text("It is the Größe of x.").thinking("let me see")]).await;
    let answer = answer.unwrap();
    assert_eq!((answer.content.as_str(), answer.reasoning.as_deref()), ("It is the Größe of x.", Some("let me see")));
    assert_eq!((answer.finish, answer.source), (Finish::Stop, Source::Endpoint));
    let usage = Usage { calls: 1, prompt_tokens: 100, cached_tokens: 40, completion_tokens: 20, cost_usd: 100e-6 };
    assert_eq!(
        (answer.usage.calls, answer.usage.prompt_tokens, answer.usage.cached_tokens, answer.usage.completion_tokens),
        (1, 100, 40, 20)
    );
    assert!((answer.usage.cost_usd - usage.cost_usd).abs() < 1e-12);
    assert_eq!(model.usage(), answer.usage);
    assert!(model.notes().is_empty());
    let request = &fake.requests()[0];
    assert_eq!(request.path, "/chat/completions");
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!((&request.body["stream"], &request.body["max_tokens"]), (&json!(true), &json!(2000)));
}

#[tokio::test]
async fn answers_of_every_shape_are_read() {
    for say in [
        Say::keepalives(3).then(Say::text("fine")),
        Say::text("fine").plain(),
        Say::blank_lines(3).then(Say::text("fine").plain()),
        Say::text("fine").openai_usage(100, 40, 20),
        Say::text("fine").without_done(),
        Say::text("fine").left_open(),
    ] {
        let shown = format!("{say:?}");
        let (answer, model, _) = ask(vec![say]).await;
        assert_eq!(answer.unwrap().content, "fine", "{shown}");
        assert_eq!(model.usage().cached_tokens, 40, "{shown}");
    }
}

#[tokio::test]
async fn thoughts_go_back_with_the_tools_that_they_called() {
    let arguments = "{\"path\": \"a.py\"}";
    let fake = Fake::start([
        Say::call("read", arguments).calling("run", "{oops").thinking("I must read it"),
        Say::text("done").wants_reasoning(),
    ]);
    let model = model(options(fake.url()));
    let tool = Tool { name: "read".into(), description: "reads".into(), parameters: json!({"type": "object"}) };
    let mut prompt = Prompt { tools: vec![tool], ..prompt("go") };
    let first = model.complete(&prompt).await.unwrap();
    assert_eq!(first.finish, Finish::ToolCalls);
    assert_eq!((first.tool_calls[0].name.as_str(), first.tool_calls[0].arguments.as_str()), ("read", arguments));
    assert_eq!(first.tool_calls[1].arguments, "{oops");
    prompt.messages.push(first.message());
    prompt.messages.extend(first.tool_calls.iter().map(|call| Message::tool(call, "result")));
    assert_eq!(model.complete(&prompt).await.unwrap().content, "done");
    fake.assert_done();
    let second = &fake.bodies()[1]["messages"];
    assert_eq!(second[1]["reasoning_content"], "I must read it");
    assert_eq!(second[1]["tool_calls"][0]["function"]["arguments"], arguments);
    assert_eq!(second[2]["tool_call_id"], second[1]["tool_calls"][0]["id"]);
    assert_eq!(fake.bodies()[0]["tools"][0]["function"]["name"], "read");
}

#[tokio::test]
async fn a_blank_answer_is_asked_for_again_and_its_cost_counts() {
    let (answer, model, _) = ask(vec![Say::blank(), Say::text("now")]).await;
    assert_eq!(answer.unwrap().usage.calls, 1);
    assert_eq!((model.usage().calls, model.usage().completion_tokens), (2, 40));
    let (answer, model, _) = ask(vec![Say::blank(); 4]).await;
    assert!(answer.unwrap_err().to_string().contains("4 tries failed; the last: the answer was blank"));
    assert_eq!(model.usage().calls, 4);
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again_and_counts_its_worst() {
    for cut in [Say::text("half of").cut(), Say::text("half of").cut().plain()] {
        let (answer, model, fake) = ask(vec![cut, Say::text("whole")]).await;
        assert_eq!(answer.unwrap().content, "whole");
        let bytes = fake.requests()[0].bytes.len() as u64;
        assert_eq!(model.usage().prompt_tokens, bytes + 100);
        assert_eq!(model.usage().completion_tokens, 2000 + 20);
        assert!(model.notes()[0].contains("counted at its worst"), "{:?}", model.notes());
    }
}

#[tokio::test]
async fn an_answer_without_usage_counts_its_worst_and_that_is_said() {
    let (answer, model, fake) = ask(vec![Say::text("free?").no_usage()]).await;
    let usage = answer.unwrap().usage;
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (fake.requests()[0].bytes.len() as u64, 2000));
    assert_eq!(model.notes(), ["an answer came without its usage: it is counted at its worst"]);
}

#[tokio::test]
async fn an_endpoint_that_counts_too_much_is_told_of_and_ends_the_run() {
    let fake = Fake::start([Say::text("greedy").usage(2_000_000_000, 0, 1)]);
    let model = model(options(fake.url()));
    assert_eq!(model.complete(&prompt("why?")).await.unwrap().usage.prompt_tokens, 2_000_000_000);
    assert!(model.notes()[0].contains("more tokens than a call can have"), "{:?}", model.notes());
    assert!(matches!(model.complete(&prompt("and?")).await, Err(LlmError::BudgetSpent(_))));
    fake.assert_done();
}

#[tokio::test]
async fn a_length_cut_is_asked_for_once_more_with_twice_the_tokens() {
    let (answer, _, fake) = ask(vec![Say::text("beg").finish("length"), Say::text("beginning and end")]).await;
    assert_eq!((answer.as_ref().unwrap().finish, fake.bodies()[1]["max_tokens"].as_u64()), (Finish::Stop, Some(4000)));
    let (answer, model, _) = ask(vec![Say::text("a").finish("length"), Say::text("a b").finish("length")]).await;
    let answer = answer.unwrap();
    assert_eq!((answer.finish, answer.content.as_str(), model.usage().calls), (Finish::Length, "a b", 2));
}

#[tokio::test]
async fn thoughts_that_fill_the_doubled_limit_too_are_not_paid_for_again() {
    let thoughts = || Say::blank().thinking("hm").finish("length");
    let (answer, model, _) = ask(vec![thoughts(), thoughts()]).await;
    let error = answer.unwrap_err();
    let told = "it thought for all of 4000 tokens without an answer: lower the effort (model.effort)";
    assert!(matches!(&error, LlmError::Unavailable(words) if words.contains(told)), "{error}");
    assert_eq!(model.usage().calls, 2);
    let fake = Fake::start([thoughts()]);
    let limits = BudgetLimits { tokens: 3500, ..BudgetLimits::default() };
    let poor = self::model(ModelOptions { limits, ..options(fake.url()) });
    let error = poor.complete(&prompt("why?")).await.unwrap_err();
    assert!(matches!(&error, LlmError::Unavailable(words) if words.contains("raise the budget")), "{error}");
    fake.assert_done();
}

#[tokio::test]
async fn a_length_cut_comes_back_at_once_where_nothing_more_is_allowed() {
    let fake = Fake::start([Say::text("a").finish("length"), Say::text("b").finish("length")]);
    let limits = BudgetLimits { tokens: 3500, ..BudgetLimits::default() };
    let poor = model(ModelOptions { limits, ..options(fake.url()) });
    assert_eq!(poor.complete(&prompt("why?")).await.unwrap().content, "a");
    let once = model(ModelOptions { tries: 1, ..options(fake.url()) });
    assert_eq!(once.complete(&prompt("why?")).await.unwrap().content, "b");
    fake.assert_done();
}

#[tokio::test]
async fn an_endpoint_that_is_overloaded_is_asked_again() {
    for status in [408, 429, 500, 502, 503] {
        let (answer, model, fake) = ask(vec![Say::status(status), Say::text("now")]).await;
        assert_eq!(answer.unwrap().content, "now", "{status}");
        assert_eq!((fake.requests().len(), model.usage().calls), (2, 2));
        // Surely not billed, or perhaps.
        assert_eq!(model.usage().completion_tokens == 20, matches!(status, 408 | 429 | 503), "{status}");
    }
    for say in [Say::hang_up(), Say::garbage()] {
        assert_eq!(ask(vec![say, Say::text("now")]).await.0.unwrap().content, "now");
    }
    let (answer, ..) = ask(vec![Say::status(503); 4]).await;
    let words = answer.unwrap_err().to_string();
    assert!(words.contains("4 tries failed; the last: it answered 503; it said: the test wants a 503"), "{words}");
}

#[tokio::test]
async fn the_endpoints_own_pause_counts_instead_of_ours_and_one_that_is_too_long_ends_the_call() {
    let hour = Duration::from_secs(3600);
    for asked in ["0", "Sun, 22 Nov 2020 20:00:00 GMT"] {
        let fake = Fake::start([Say::status(429).retry_after(asked), Say::text("now")]);
        // Full jitter of an hour would be over before this test is only once in thousands.
        let model = model(ModelOptions { first_pause: hour, longest_pause: hour, ..options(fake.url()) });
        let answer = tokio::time::timeout(Duration::from_secs(120), model.complete(&prompt("why?"))).await;
        assert_eq!(answer.unwrap().unwrap().content, "now", "{asked}");
        fake.assert_done();
    }
    // The longest pause is two milliseconds: nobody comes back in forbidden time.
    let (answer, _, fake) = ask(vec![Say::status(429).retry_after("3600")]).await;
    let error = answer.unwrap_err();
    let told = "it wants to be left alone for 3600 s";
    assert!(matches!(&error, LlmError::Unavailable(words) if words.contains(told)), "{error}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn what_will_never_work_stops_at_once_and_says_what_to_do() {
    for (status, advice) in [
        (400, "check the model's name and options; it said: the test wants a 400"),
        (401, "set DEEPSEEK_API_KEY"),
        (402, "top up at https://platform.deepseek.com"),
        (404, "check the base URL (http://127.0.0.1"),
        (422, "it said: the test wants a 422"),
    ] {
        let (answer, model, fake) = ask(vec![Say::status(status)]).await;
        match answer {
            Err(LlmError::Refused { status: told, advice: words }) => {
                assert_eq!(told, status);
                assert!(words.contains(advice), "{words}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(fake.requests().len(), 1);
        assert_eq!(model.usage(), Usage { calls: 1, ..Usage::default() });
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Fake::start([]);
    let (answer, ..) = ask(vec![Say::redirect(&format!("{}/chat/completions", other.url()))]).await;
    let words = answer.unwrap_err().to_string();
    assert!(words.contains("redirects are never followed") && words.contains(&other.url()), "{words}");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn no_error_tells_the_key_even_where_the_endpoint_does() {
    let echo = format!("wrong key: {KEY} \u{1b}[31m hunter2 {}", "x".repeat(5000));
    let event = format!("data: {}\n\n", json!({"error": {"message": echo}}));
    for say in [
        Say::status(401).saying(&echo),
        Say::status(500).saying(&echo),
        Say::redirect(&format!("http://x/?key={KEY}")),
        Say::raw("text/plain", echo.as_bytes()),
        Say::raw("text/event-stream", event.as_bytes()),
    ] {
        let fake = Fake::answering(move |_| say.clone());
        let model = model(options(fake.url()));
        let words = format!("{:?} {:?}", model.complete(&prompt("why?")).await.unwrap_err(), model);
        assert!(!words.contains(KEY) && !words.contains("hunter2") && !words.contains('\u{1b}'), "{words}");
        assert!(words.contains("[key]") && words.len() < 3000, "{words}");
    }
}

#[tokio::test]
async fn nobody_listening_costs_nothing() {
    let model = model(options(Fake::nobody()));
    let error = model.complete(&prompt("why?")).await.unwrap_err();
    assert!(matches!(error, LlmError::Unavailable(_)), "{error}");
    assert_eq!(model.usage(), Usage::default());
}

#[tokio::test]
async fn an_answer_without_end_is_stopped_by_the_deadline_and_one_without_words_by_the_stall() {
    let short = Duration::from_millis(200);
    let endless = Fake::answering(|_| Say::thinking_forever());
    let model_of = |options: ModelOptions| model(ModelOptions { tries: 1, ..options });
    let words =
        model_of(ModelOptions { call_deadline: short, ..options(endless.url()) }).complete(&prompt("why?")).await;
    assert!(words.unwrap_err().to_string().contains("no whole answer within"));
    for say in [Say::keepalives_forever(), Say::nothing()] {
        let wordless = Fake::answering(move |_| say.clone());
        let model = model_of(ModelOptions { stall: short, ..options(wordless.url()) });
        let words = model.complete(&prompt("why?")).await.unwrap_err().to_string();
        assert!(words.contains("without saying anything for 0.2 s"), "{words}");
        assert_eq!(model.usage().completion_tokens, 2000);
    }
}

#[tokio::test]
async fn secrets_stay_here_and_placeholders_come_back_as_they_are() {
    let fake = Fake::start([Say::text("the <secret> is wrong")]);
    let answer = model(options(fake.url())).complete(&prompt("hunter2 in /home/hunter2/a.py")).await.unwrap();
    assert_eq!(answer.content, "the <secret> is wrong");
    assert!(!String::from_utf8_lossy(&fake.requests()[0].bytes).contains("hunter2"));
}

#[tokio::test]
async fn deepseeks_own_fields_are_only_sent_where_they_are_asked_for() {
    let fake = Fake::answering(|_| Say::text("x"));
    let user = Some("abc".to_owned());
    model(ModelOptions { user: user.clone(), ..options(fake.url()) }).complete(&prompt("a")).await.unwrap();
    let effort = Some("none".to_owned());
    model(ModelOptions { user, effort, ..options(fake.url()) }).complete(&prompt("a")).await.unwrap();
    let bodies = fake.bodies();
    assert!(bodies[0].get("thinking").is_none() && bodies[0].get("user_id").is_none());
    assert_eq!((&bodies[1]["thinking"]["type"], &bodies[1]["user_id"]), (&json!("disabled"), &json!("abc")));
}

#[test]
fn options_that_cannot_work_are_refused_with_a_clear_word() {
    let good = || options("https://models.example.com/v1".to_owned());
    let with = |change: fn(&mut ModelOptions)| {
        let mut options = good();
        change(&mut options);
        refused(options)
    };
    assert!(Model::new(good(), Arc::new(str::to_owned), Arc::new(NoRecords)).is_ok());
    assert!(with(|o| o.model = "deepseek-chat".into()).contains("use `deepseek-flash`"));
    assert!(with(|o| o.model = "deepseek-reasoner".into()).contains("retired"));
    assert!(with(|o| o.model = "a b".into()).contains("name"));
    assert!(with(|o| o.price = None).contains("no price is known for the model `m`"));
    for url in ["ftp://x", "models.example.com", "", "file:///etc/passwd"] {
        assert!(refused(ModelOptions { base_url: url.into(), ..good() }).contains("no http(s) address"), "{url}");
    }
    assert!(with(|o| o.base_url = "http://models.example.com".into()).contains("unencrypted"));
    let credentials = with(|o| o.base_url = "https://me:hunter2@models.example.com".into());
    assert!(credentials.contains("credentials") && !credentials.contains("hunter2"));
    assert!(
        with(|o| {
            o.base_url = "https://api.deepseek.com".into();
            o.key = None
        })
        .contains("set DEEPSEEK_API_KEY")
    );
    assert!(
        with(|o| {
            o.base_url = "https://api.deepseek.com".into();
            o.key = Some(" ".into())
        })
        .contains("wants a key")
    );
    assert!(with(|o| o.key = Some("a\nb".into())).contains("characters"));
    assert!(with(|o| o.effort = Some("huge".into())).contains("none, low, high, max"));
    assert!(with(|o| o.limits.cost_usd = f64::NAN).contains("dollars"));
    assert!(with(|o| o.limits.cost_usd = -1.0).contains("dollars"));
    assert!(with(|o| o.limits.calls = 0).contains("calls"));
    assert!(with(|o| o.limits.tokens = 0).contains("tokens"));
    assert!(with(|o| o.tries = 0).contains("try"));
    assert!(with(|o| o.stall = Duration::ZERO).contains("time"));
    assert!(with(|o| o.per_minute = 0).contains("rate"));
    assert!(with(|o| o.price = Some(Price { prompt: -1.0, ..PRICE })).contains("price"));
    let open = ModelOptions { base_url: "http://models.example.com".into(), key: None, ..good() };
    assert!(Model::new(open, Arc::new(str::to_owned), Arc::new(NoRecords)).is_ok());
}

#[tokio::test]
async fn the_same_question_has_the_same_key_whatever_the_budget_makes_of_it() {
    let fake = Fake::answering(|_| Say::text("x"));
    let key = async |options: ModelOptions, text: &str| model(options).complete(&prompt(text)).await.unwrap().key;
    let limits = BudgetLimits { tokens: 1500, ..BudgetLimits::default() };
    let first = key(options(fake.url()), "a").await;
    assert_eq!(first, key(ModelOptions { limits, ..options(fake.url()) }, "a").await);
    assert_ne!(first, key(options(fake.url()), "b").await);
    assert_ne!(first, key(ModelOptions { model: "n".into(), ..options(fake.url()) }, "a").await);
    assert_ne!(first, key(options(format!("{}/v1", fake.url())), "a").await);
}

#[tokio::test]
async fn a_call_that_is_given_up_under_way_still_counts_against_the_budget() {
    let fake = Fake::start([Say::nothing()]);
    let limits = BudgetLimits { tokens: 3000, ..BudgetLimits::default() };
    let model = model(ModelOptions { limits, ..options(fake.url()) });
    let question = prompt("why?");
    tokio::select! {
        _ = model.complete(&question) => panic!("nobody answered"),
        () = async { while fake.requests().is_empty() { sleep(Duration::from_millis(5)).await } } => {}
    }
    let error = model.complete(&question).await.unwrap_err();
    assert!(matches!(&error, LlmError::BudgetSpent(words) if words.contains("tokens")), "{error}");
    let (usd, tokens) = model.lost();
    assert_eq!(tokens, fake.requests()[0].bytes.len() as u64 + 2000);
    assert!((usd - tokens as f64 * 1e-6).abs() < 1e-9, "{usd}");
    let told = format!("may have cost up to ${usd:.4} and {tokens} tokens");
    assert!(model.notes().iter().any(|note| note.contains(&told)), "{:?}", model.notes());
}

#[tokio::test]
async fn a_resumed_run_has_no_more_wall_time_than_it_had_left() {
    let wall = Duration::from_secs(600);
    let limits = BudgetLimits { wall: Some(wall), ..BudgetLimits::default() };
    let fake = Fake::start([]);
    let model = model(ModelOptions { limits, began_before: wall, ..options(fake.url()) });
    let error = model.complete(&prompt("why?")).await.unwrap_err();
    assert!(matches!(&error, LlmError::BudgetSpent(words) if words.contains("limit of 600 s")), "{error}");
    assert!(fake.requests().is_empty());
}

#[test]
fn dollars_have_the_date_of_the_price_list_unless_the_price_is_given() {
    let url = || "https://models.example.com".to_owned();
    assert_eq!(model(options(url())).price_date(), None);
    let listed = ModelOptions { model: "deepseek-flash".to_owned(), price: None, ..options(url()) };
    assert_eq!(model(listed).price_date(), Some(price::list_date().0));
}
