//! What ends a call or keeps it from being made: time, the budget, the breaker.

use super::*;

#[tokio::test]
async fn wall_time_ends_a_call_under_way_and_every_wait() {
    let limits = BudgetLimits { wall: Some(Duration::from_millis(300)), ..BudgetLimits::default() };
    let endless = Fake::answering(|_| Say::thinking_forever());
    let error = model(ModelOptions { limits, ..options(endless.url()) }).complete(&prompt("why?")).await.unwrap_err();
    assert!(matches!(&error, LlmError::BudgetSpent(words) if words.contains("wall time")), "{error}");
    // The second request of a minute would come too late: nobody waits for that.
    let fake = Fake::start([Say::text("one")]);
    let limits = BudgetLimits { wall: Some(Duration::from_secs(40)), ..BudgetLimits::default() };
    let rated = model(ModelOptions { per_minute: 1, limits, ..options(fake.url()) });
    rated.complete(&prompt("one?")).await.unwrap();
    assert!(matches!(rated.complete(&prompt("two?")).await, Err(LlmError::BudgetSpent(_))));
    fake.assert_done();
}

#[tokio::test]
async fn a_call_that_could_overrun_is_not_made_and_a_lower_limit_may_save_it() {
    let fake = Fake::start([Say::text("short").usage(10, 0, 10)]);
    let limits = BudgetLimits { cost_usd: 0.0017, ..BudgetLimits::default() };
    let model = model(ModelOptions { limits, ..options(fake.url()) });
    let error = model.complete(&prompt(&"long ".repeat(1000))).await.unwrap_err();
    assert!(
        matches!(&error, LlmError::BudgetSpent(words) if words.contains("dollars: the limit is 0.0017")),
        "{error}"
    );
    assert!(fake.requests().is_empty());
    model.complete(&prompt("short?")).await.unwrap();
    let request = &fake.requests()[0];
    let lowered = request.body["max_tokens"].as_u64().unwrap();
    assert!(lowered >= 1024 && lowered + request.bytes.len() as u64 <= 1700, "{lowered}");
    assert!(model.notes()[0].contains("from 2000 to"), "{:?}", model.notes());
    fake.assert_done();
}

#[tokio::test]
async fn concurrent_calls_do_not_overrun_together() {
    // Each costs its worst, and takes its time, so that they overlap.
    let fake = Fake::answering(|_| Say::text("dear").no_usage().after(Duration::from_millis(50)));
    let limits = BudgetLimits { cost_usd: 0.007, ..BudgetLimits::default() };
    let model = model(ModelOptions { limits, ..options(fake.url()) });
    let calls: Vec<_> = (0..12).map(|each| (model.clone(), prompt(&each.to_string()))).collect();
    let calls = calls.into_iter().map(|(model, prompt)| tokio::spawn(async move { model.complete(&prompt).await }));
    let mut refused = 0;
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Ok(_) => {}
            Err(LlmError::BudgetSpent(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(model.usage().cost_usd <= 0.007, "{:?}", model.usage());
    assert_eq!(fake.requests().len() + refused, 12);
    assert!((3..=5).contains(&fake.requests().len()));
}

#[tokio::test]
async fn a_call_that_fits_after_another_waits_for_it_with_all_its_tokens() {
    let fake = Fake::answering(|_| Say::text("cheap").usage(10, 0, 10).after(Duration::from_millis(50)));
    let limits = BudgetLimits { cost_usd: 0.0035, ..BudgetLimits::default() };
    let model = model(ModelOptions { limits, ..options(fake.url()) });
    let questions = [prompt("a"), prompt("b"), prompt("c")];
    let [a, b, c] = &questions;
    let answers = tokio::join!(model.complete(a), model.complete(b), model.complete(c));
    assert!(answers.0.is_ok() && answers.1.is_ok() && answers.2.is_ok(), "{answers:?}");
    assert!(fake.bodies().iter().all(|body| body["max_tokens"] == 2000));
    assert!(model.notes().is_empty(), "{:?}", model.notes());
}

#[tokio::test]
async fn an_endpoint_that_only_wants_fewer_requests_does_not_open_the_breaker() {
    let slower = || Say::status(429).retry_after("0");
    let fake = Fake::start([slower(), slower(), slower(), Say::text("now")]);
    let hour = Duration::from_secs(3600);
    let model = model(ModelOptions { breaker_failures: 2, breaker_pause: hour, ..options(fake.url()) });
    assert_eq!(model.complete(&prompt("why?")).await.unwrap().content, "now");
    fake.assert_done();
}

#[tokio::test]
async fn a_breaker_that_closes_in_time_is_waited_for() {
    let fake = Fake::start([Say::status(503), Say::text("back")]);
    let pause = Duration::from_millis(200);
    let model = model(ModelOptions { breaker_failures: 1, breaker_pause: pause, ..options(fake.url()) });
    assert_eq!(model.complete(&prompt("why?")).await.unwrap().content, "back");
    fake.assert_done();
}

#[tokio::test]
async fn failures_in_a_row_open_the_breaker_for_all_calls_until_a_probe_succeeds() {
    let fake = Fake::start([Say::status(503), Say::status(503)]);
    let hour = Duration::from_secs(3600);
    let shut = model(ModelOptions { breaker_failures: 2, breaker_pause: hour, ..options(fake.url()) });
    for _ in 0..2 {
        let words = shut.clone().complete(&prompt("why?")).await.unwrap_err().to_string();
        assert!(words.contains("it failed too often in a row; nothing is asked for another"), "{words}");
    }
    fake.assert_done();
    let fake = Fake::start([Say::status(503), Say::status(503), Say::text("back")]);
    let probing = model(ModelOptions { breaker_failures: 2, breaker_pause: Duration::ZERO, ..options(fake.url()) });
    assert_eq!(probing.complete(&prompt("why?")).await.unwrap().content, "back");
    fake.assert_done();
}
