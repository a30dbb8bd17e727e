//! A transcript is what remembers a dialogue across a kill.

use crate::{
    llm::{LlmError, ToolCall, Transcript, transcript::Entry},
    repair::dialogue::Memory,
};

impl Memory for Transcript {
    fn tool_result(&self, completion_key: &str, call_id: &str) -> Option<String> {
        Transcript::tool_result(self, completion_key, call_id)
    }

    fn tool(&self, completion_key: &str, call: &ToolCall, result: &str) -> Result<(), LlmError> {
        self.append(&Entry::Tool {
            key: completion_key.to_owned(),
            call: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            result: result.to_owned(),
        })
    }

    fn verdict(&self, step: &str, verdict: &str, reasons: &[String]) -> Result<(), LlmError> {
        let (step, verdict) = (step.to_owned(), verdict.to_owned());
        self.append(&Entry::Verdict { step, verdict, reasons: reasons.to_vec() })
    }
}
