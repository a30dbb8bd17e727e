//! actions: the runner's protocol (stub).
use crate::report::Annotation;
use anyhow::Result;
/// Input.
pub fn input(name: &str) -> Option<String> {
    let name = format!("INPUT_{}", name.to_uppercase().replace(' ', "_"));
    std::env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
}
/// Mask.
pub fn add_mask(secret: &str) -> String {
    format!("::add-mask::{secret}\n")
}
/// Commands.
pub fn commands(_all: &[Annotation]) -> String {
    String::new()
}
/// Summary.
///
/// # Errors
/// io
pub fn append_summary(text: &str) -> Result<()> {
    if let Ok(f) = std::env::var("GITHUB_STEP_SUMMARY") {
        std::fs::write(f, text)?;
    }
    Ok(())
}
/// Output.
///
/// # Errors
/// io
pub fn set_output(name: &str, value: &str) -> Result<()> {
    use std::io::Write as _;
    if let Ok(f) = std::env::var("GITHUB_OUTPUT") {
        let mut f = std::fs::File::options().append(true).create(true).open(f)?;
        write!(f, "{name}<<EOF_x\n{value}\nEOF_x\n")?;
    }
    Ok(())
}
