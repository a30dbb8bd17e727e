//! kept: calls are remembered in a transcript, and their answers in a cache.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Cache, Completion, Finish, LlmError, Usage,
    records::Records,
    transcript::{Entry, Transcript},
};

/// The transcript of this run, and the cache of all runs.
pub struct Kept {
    /// The transcript.
    pub transcript: Arc<Transcript>,
    /// The cache, unless it is switched off.
    pub cache: Option<Cache>,
}

impl Records for Kept {
    /// What comes from the cache enters the transcript, so that a resumed run needs no cache.
    fn known(&self, key: &str) -> Option<Completion> {
        self.transcript.answered(key).or_else(|| {
            let found = self.cache.as_ref()?.get(key)?;
            // A transcript that can't be written is complained of when the question is sent.
            self.transcript.append(&Entry::Answer(found.clone())).ok()?;
            Some(found)
        })
    }

    fn sending(&self, key: &str, step: &str, body: &Value, worst_usd: f64, worst_tokens: u64) -> Result<(), LlmError> {
        let (key, step, body) = (key.to_owned(), step.to_owned(), body.clone());
        self.transcript.append(&Entry::Request { key, step, body, worst_usd, worst_tokens })
    }

    fn answered(&self, completion: &Completion) -> Result<(), LlmError> {
        self.transcript.append(&Entry::Answer(completion.clone()))?;
        // An answer that was cut short must not be had again for nothing.
        if let Some(cache) = &self.cache
            && matches!(completion.finish, Finish::Stop | Finish::ToolCalls)
            && let Err(error) = cache.put(completion)
        {
            // The answer is paid for and on disk: a full cache does not end the run.
            self.transcript.append(&Entry::Note { text: error.to_string() })?;
        }
        Ok(())
    }

    fn failed(&self, key: &str, why: &str, usage: Option<Usage>) -> Result<(), LlmError> {
        self.transcript.append(&Entry::Failed { key: key.to_owned(), why: why.to_owned(), usage })
    }

    fn spent(&self) -> (Usage, f64, u64) {
        self.transcript.spent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Source, transcript::Start};
    use std::{path::Path, time::Duration};

    fn redact() -> crate::llm::Redact {
        Arc::new(str::to_owned)
    }

    fn answer(key: &str, finish: Finish) -> Completion {
        Completion {
            key: key.to_owned(),
            content: "x".to_owned(),
            reasoning: None,
            tool_calls: Vec::new(),
            finish,
            usage: Usage { calls: 1, cost_usd: 0.5, ..Usage::default() },
            source: Source::Endpoint,
        }
    }

    fn kept(place: &Path, transcript: Transcript) -> Kept {
        let cache = Cache::open(&place.join("cache"), Duration::from_secs(3600), redact()).unwrap();
        Kept { transcript: Arc::new(transcript), cache: Some(cache) }
    }

    fn begun(place: &Path, name: &str) -> Transcript {
        let transcript = Transcript::create(&place.join(name), redact()).unwrap();
        transcript.append(&Entry::Start(Start::new("m", "u", "d"))).unwrap();
        transcript
    }

    #[test]
    fn a_second_run_is_answered_from_the_cache_and_resuming_that_run_needs_no_cache() {
        let place = tempfile::tempdir().unwrap();
        let first = kept(place.path(), begun(place.path(), "first"));
        assert_eq!(first.known("a"), None);
        first.sending("a", "loop", &serde_json::json!({}), 1.0, 10).unwrap();
        first.answered(&answer("a", Finish::Stop)).unwrap();
        drop(first);
        let second = kept(place.path(), begun(place.path(), "second"));
        assert_eq!(second.known("a").unwrap().source, Source::Cache);
        drop(second);
        std::fs::remove_dir_all(place.path().join("cache")).unwrap();
        let resumed = kept(place.path(), Transcript::resume(&place.path().join("second"), redact()).unwrap());
        assert_eq!(resumed.known("a").unwrap(), Completion { source: Source::Transcript, ..answer("a", Finish::Stop) });
        assert_eq!(resumed.spent(), (Usage::default(), 0.0, 0));
        let paid = kept(place.path(), Transcript::resume(&place.path().join("first"), redact()).unwrap());
        assert_eq!(paid.spent(), (answer("a", Finish::Stop).usage, 0.0, 0));
    }

    #[test]
    fn an_answer_that_was_cut_short_is_in_the_transcript_but_not_in_the_cache() {
        let place = tempfile::tempdir().unwrap();
        let kept = kept(place.path(), begun(place.path(), "first"));
        let all = [Finish::Stop, Finish::ToolCalls, Finish::Length, Finish::Other];
        let names = all.map(|finish| format!("{finish:?}"));
        for (finish, name) in all.into_iter().zip(&names) {
            kept.sending(name, "loop", &Value::Null, 1.0, 10).unwrap();
            kept.answered(&answer(name, finish)).unwrap();
        }
        kept.sending("f", "loop", &Value::Null, 1.0, 10).unwrap();
        kept.failed("f", "503", None).unwrap();
        let cache = kept.cache.as_ref().unwrap();
        assert_eq!(names.clone().map(|name| cache.get(&name).is_some()), [true, true, false, false]);
        drop(kept);
        let resumed = Transcript::resume(&place.path().join("first"), redact()).unwrap();
        assert!(names.iter().all(|name| resumed.answered(name).is_some()));
        let (paid, worst, _) = resumed.spent();
        assert_eq!((paid.calls, worst), (4, 0.0));
    }

    #[test]
    fn a_cache_that_cannot_be_written_ends_no_run_and_is_told() {
        let place = tempfile::tempdir().unwrap();
        let kept = kept(place.path(), begun(place.path(), "first"));
        std::fs::remove_dir_all(place.path().join("cache")).unwrap();
        kept.answered(&answer("a", Finish::Stop)).unwrap();
        let text = std::fs::read_to_string(place.path().join("first")).unwrap();
        assert!(text.contains("cache") && text.contains("cannot be written"), "{text}");
    }
}
