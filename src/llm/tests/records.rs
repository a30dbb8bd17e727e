//! What a record is told of a call, and what it does to one.

use super::*;

/// Remembers what it was told.
#[derive(Default)]
struct Told {
    known: Option<Completion>,
    refuses: bool,
    said: Mutex<Vec<String>>,
    sum: Mutex<Usage>,
    spent: Usage,
}

impl Records for Told {
    fn known(&self, key: &str) -> Option<Completion> {
        self.known.clone().map(|known| Completion { key: key.to_owned(), ..known })
    }

    fn sending(&self, key: &str, step: &str, body: &Value, usd: f64, tokens: u64) -> Result<(), LlmError> {
        assert!(key.len() == 64 && usd > 0.0 && tokens > 2000);
        self.said.lock().unwrap().push(format!("sending {step} {}", body["max_tokens"]));
        if self.refuses { Err(LlmError::Record("the disk is full".into())) } else { Ok(()) }
    }

    fn answered(&self, completion: &Completion) -> Result<(), LlmError> {
        self.said.lock().unwrap().push(format!("answered {}", completion.content));
        *self.sum.lock().unwrap() += completion.usage;
        Ok(())
    }

    fn failed(&self, _: &str, why: &str, usage: Option<Usage>) -> Result<(), LlmError> {
        self.said.lock().unwrap().push(format!("failed {why}"));
        *self.sum.lock().unwrap() += usage.unwrap_or_default();
        Ok(())
    }

    fn spent(&self) -> (Usage, f64, u64) {
        (self.spent, 0.0, 0)
    }
}

fn told(options: ModelOptions, records: &Arc<Told>) -> Model {
    Model::new(options, Arc::new(str::to_owned), records.clone()).unwrap()
}

#[tokio::test]
async fn every_try_is_told_before_and_after_and_the_sum_is_the_usage() {
    let records = Arc::new(Told::default());
    let fake = Fake::start([
        Say::status(503),
        Say::blank(),
        Say::text("be").finish("length"),
        Say::text("begin"),
        Say::status(402),
    ]);
    let model = told(options(fake.url()), &records);
    model.complete(&prompt("why?")).await.unwrap();
    model.complete(&prompt("and?")).await.unwrap_err();
    fake.assert_done();
    let said = records.said.lock().unwrap().clone();
    let begins: Vec<_> = said.iter().map(|line| line.split(';').next().unwrap()).collect();
    assert_eq!(
        begins,
        [
            "sending question 2000",
            "failed it answered 503",
            "sending question 2000",
            "failed the answer was blank",
            "sending question 2000",
            "failed the answer was cut at 2000 tokens",
            "sending question 4000",
            "answered begin",
            "sending question 2000",
            "failed refused: 402: the balance is used up: top up at https://platform.deepseek.com/top_up",
        ]
    );
    assert_eq!(*records.sum.lock().unwrap(), model.usage());
    assert_eq!(model.usage().calls, 5);
}

#[tokio::test]
async fn a_known_answer_is_not_asked_for_and_a_record_that_fails_keeps_a_call_from_being_made() {
    let fake = Fake::start([Say::text("once")]);
    let fresh = model(options(fake.url()));
    let answer = fresh.complete(&prompt("why?")).await.unwrap();
    let paid = Usage { calls: 7, cost_usd: 0.01, ..Usage::default() };
    let known = Completion { source: Source::Transcript, ..answer.clone() };
    let records = Arc::new(Told { known: Some(known), spent: paid, ..Told::default() });
    let resumed = told(options(fake.url()), &records);
    let again = resumed.complete(&prompt("why?")).await.unwrap();
    assert_eq!((&again.key, again.source), (&answer.key, Source::Transcript));
    assert_eq!(resumed.usage(), paid);
    let records = Arc::new(Told { refuses: true, ..Told::default() });
    let full = told(options(fake.url()), &records);
    assert_eq!(full.complete(&prompt("why?")).await, Err(LlmError::Record("the disk is full".into())));
    assert_eq!(full.usage(), Usage::default());
    fake.assert_done();
}

#[tokio::test]
async fn an_answer_that_a_cassette_cannot_take_is_paid_for_all_the_same() {
    let place = tempfile::tempdir().unwrap();
    let fake = Fake::start([Say::text("SWELL")]);
    // Longer than any line of a cassette.
    let redactor = |text: &str| match text.contains("SWELL") {
        true => "x".repeat(33 << 20),
        false => text.to_owned(),
    };
    let records = Arc::new(Told::default());
    let options = ModelOptions { cassette: Some(place.path().join("tape")), ..options(fake.url()) };
    let model = Model::new(options, Arc::new(redactor), records.clone()).unwrap();
    let error = model.complete(&prompt("why?")).await.unwrap_err();
    assert!(matches!(&error, LlmError::Record(words) if words.contains("too large")), "{error}");
    assert_eq!((model.usage().calls, model.usage().completion_tokens), (1, 20));
    assert_eq!(*records.sum.lock().unwrap(), model.usage());
}
