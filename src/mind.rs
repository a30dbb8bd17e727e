//! mind: the model as a run has it: the client, what it remembers, and what it must not see.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::{
    config::{Config, ModelFlags},
    input::BadInput,
    llm::{
        Cache, Completion, Kept, LlmError, Model, Prompt, Redact, Source, Transcript, Usage,
        transcript::{Entry, Start},
    },
    pipeline::Given,
    progress::Progress,
    redact::Redactor,
    repair::{Asker, dialogue::Chat},
};

/// So many transcripts are kept where nobody said where they go.
const MOST_KEPT: usize = 50;

/// Where the transcript goes.
#[derive(Debug, Clone, Default)]
pub enum TranscriptFile {
    /// Nowhere.
    #[default]
    None,
    /// A new file.
    New(PathBuf),
    /// A new file in this directory, of which the newest are kept.
    Kept(PathBuf),
    /// That of a run that was interrupted, which goes on.
    Resumed(PathBuf),
}

/// A model, its transcript, and the secrets that it does not get.
pub struct Mind {
    chat: Watched,
    transcript: Arc<Transcript>,
    redactor: Arc<Redactor>,
    file: Option<PathBuf>,
    /// Are its answers a cassette's?
    replays: bool,
    /// Did another run begin the transcript?
    resumed: bool,
}

impl Mind {
    /// The model that flags, environment and configuration name; `None` where they name none. Nothing is sent yet.
    ///
    /// # Errors
    /// [`BadInput`] for what can't be used; else when the transcript can't be written.
    pub fn of(flags: &ModelFlags, file: &TranscriptFile, given: &Given, progress: &Progress) -> Result<Option<Mind>> {
        let Some(mut options) = given.config.model(flags) else {
            return match file {
                TranscriptFile::Resumed(_) => Err(BadInput(
                    "--resume goes on with a model, and none is named: set DEEPSEEK_API_KEY or give --model-url"
                        .to_owned(),
                )
                .into()),
                _ => Ok(None),
            };
        };
        let redactor = Arc::new(redactor(&given.config)?);
        redactor.learn(texts(given));
        let redact: Redact = {
            let redactor = Arc::clone(&redactor);
            Arc::new(move |text: &str| redactor.redact(text))
        };
        let cache = options.cache.as_ref().map(|place| Cache::open(place, options.cache_ttl, Arc::clone(&redact)));
        let cache = cache.transpose().map_err(usable)?;
        // Keeps the endpoint's cache of one repository's prompts apart from that of others.
        options.user = Some(hex(Sha256::digest(given.tree.name().as_bytes()).as_slice())[..16].to_owned());
        // Options are refused before anything is written.
        Model::check(&options).map_err(usable)?;
        let resumed = matches!(file, TranscriptFile::Resumed(_));
        let (transcript, file) = open(file, &redact)?;
        options.began_before = transcript.time_used();
        let start = Start::new(&options.model, &options.base_url, &digest(given));
        transcript.check(&start).map_err(usable)?;
        transcript.append(&Entry::Start(start)).map_err(usable)?;
        let transcript = Arc::new(transcript);
        let replays = options.cassette.as_ref().is_some_and(|cassette| cassette.exists());
        let records = Kept { transcript: Arc::clone(&transcript), cache };
        let model = Model::new(options, redact, Arc::new(records)).map_err(usable)?;
        let chat = Watched { model, progress: progress.clone(), asked: AtomicU32::new(0) };
        Ok(Some(Mind { chat, transcript, redactor, file, replays, resumed }))
    }

    /// For the ladder.
    pub fn asker(&self, side_by_side: usize) -> Asker<'_> {
        Asker { chat: &self.chat, memory: &*self.transcript, redactor: &self.redactor, side_by_side }
    }

    /// What was paid.
    pub fn usage(&self) -> Usage {
        self.chat.model.usage()
    }

    /// A text without the secrets that were seen.
    pub fn redacted(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    /// Ends the transcript of a run that has an outcome, and says what a reader should know of the calls, the secrets and the transcript. Where nobody
    /// was asked there is nothing to say, and no transcript is left.
    pub fn end(&self, outcome: Option<&str>) -> Vec<String> {
        let asked = self.chat.asked.load(Ordering::Relaxed) > 0;
        if let Some(file) = self.file.as_ref().filter(|_| !asked && !self.resumed) {
            // A file too many, no more, where it can't be removed.
            let _ = fs::remove_file(file);
        }
        if !asked {
            return Vec::new();
        }
        if let Some(outcome) = outcome {
            // The run is over: what can't be written now is not needed to go on.
            let _ = self.transcript.append(&Entry::End { outcome: outcome.to_owned(), usage: self.usage() });
        }
        let mut notes = self.chat.model.notes();
        if self.replays {
            notes.push("the model's answers are a recording's: nothing was paid in this run".to_owned());
        }
        let secrets: Vec<String> = self.redactor.counts().iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        if !secrets.is_empty() {
            notes.push(format!("kept from the model, by placeholders: {}", secrets.join(", ")));
        }
        if let Some(file) = &self.file {
            notes.push(format!("what the model was asked and said: test-repair transcript {}", file.display()));
        }
        notes
    }
}

/// What takes the secrets out, here and in the reports.
fn redactor(config: &Config) -> Result<Redactor, BadInput> {
    Redactor::new(&config.redact).map_err(|why| BadInput(format!("{}: redact: {why}", crate::config::PATH)))
}

fn usable(error: LlmError) -> anyhow::Error {
    match error {
        LlmError::Options(why) | LlmError::Cassette(why) => BadInput(why).into(),
        other => other.into(),
    }
}

fn open(file: &TranscriptFile, redact: &Redact) -> Result<(Transcript, Option<PathBuf>)> {
    let new = |path: PathBuf| -> Result<(Transcript, Option<PathBuf>)> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        Ok((Transcript::create(&path, Arc::clone(redact)).map_err(usable)?, Some(path)))
    };
    match file {
        TranscriptFile::None => Ok((Transcript::none(), None)),
        TranscriptFile::New(path) => new(path.clone()),
        TranscriptFile::Kept(directory) => {
            // Several repairs of one process begin in the same second.
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let (now, next) = (Timestamp::now().strftime("%Y%m%dT%H%M%S"), NEXT.fetch_add(1, Ordering::Relaxed));
            let name = format!("{now}-{}-{next}.jsonl", std::process::id());
            let opened = new(directory.join(name));
            forget_old(directory);
            opened
        }
        TranscriptFile::Resumed(path) => {
            Ok((Transcript::resume(path, Arc::clone(redact)).map_err(usable)?, Some(path.clone())))
        }
    }
}

/// The newest stay; their names begin with the time.
fn forget_old(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    files.sort();
    for old in files.iter().rev().skip(MOST_KEPT) {
        let _ = fs::remove_file(old);
    }
}

/// What the run works on: any part of it may be shown.
fn texts(given: &Given) -> impl Iterator<Item = String> {
    let failing = given.failing().into_iter().flat_map(|log| &log.failures);
    let said = failing.flat_map(|failure| [failure.message.clone(), failure.excerpt.clone()]);
    let paths = given.tree.paths().into_iter();
    let files = paths.filter_map(|path| Some(String::from_utf8_lossy(&given.tree.read(&path)?).into_owned()));
    said.chain(files)
}

/// What is repaired: the same logs on the same tree.
fn digest(given: &Given) -> String {
    let mut hash = Sha256::new();
    for failure in given.failing().iter().flat_map(|log| &log.failures) {
        hash.update(format!("{:?}\0{}\0{:?}\n", failure.key, failure.message, failure.line));
    }
    for path in given.tree.paths() {
        hash.update(format!("\0{path}\0"));
        hash.update(given.tree.read(&path).unwrap_or_default());
    }
    hex(hash.finalize().as_slice())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model whose calls are shown as stages.
struct Watched {
    model: Model,
    progress: Progress,
    asked: AtomicU32,
}

#[async_trait]
impl Chat for Watched {
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, LlmError> {
        let call = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let stage = self.progress.begin("model", format!("{} {call} to {}", prompt.step, self.model.name()));
        let answered = self.model.complete(prompt).await;
        stage.end(&match &answered {
            Ok(completion) => {
                let Usage { prompt_tokens, cached_tokens, completion_tokens, cost_usd, .. } = completion.usage;
                match completion.source {
                    Source::Endpoint => format!(
                        "{prompt_tokens} tokens in ({cached_tokens} cached), {completion_tokens} out, ${cost_usd:.5}"
                    ),
                    Source::Cache => "from the cache".to_owned(),
                    Source::Transcript => "from the transcript".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        });
        answered
    }
}
