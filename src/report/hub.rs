//! stub
use crate::{
    origin::{Origin, TokenKind},
    outcome::Repair,
};
/// Sheet
#[allow(missing_docs)]
pub struct Sheet<'a> {
    pub origin: &'a Origin,
    pub token: TokenKind,
    pub model: Option<&'a str>,
    pub config_path: &'a str,
    pub also_failing: &'a [u64],
    pub action: &'a str,
    pub fingerprint: &'a str,
}
/// A
#[derive(Debug, Clone)]
pub struct Annotation;
/// A
pub fn annotations(_r: &Repair) -> Vec<Annotation> {
    Vec::new()
}
/// A
pub fn marker(fingerprint: &str) -> String {
    format!("<!-- test-repair: fingerprint={fingerprint} -->")
}
/// A
pub fn pull_request_body(r: &Repair, s: &Sheet<'_>) -> String {
    format!("{}\n{}", super::markdown(r), marker(s.fingerprint))
}
/// A
pub fn issue_body(r: &Repair, s: &Sheet<'_>) -> String {
    format!("{}\n{}", super::markdown(r), marker(s.fingerprint))
}
/// A
pub fn suggestion_comment(r: &Repair, s: &Sheet<'_>) -> String {
    format!("{}\n{}", super::markdown(r), marker(s.fingerprint))
}
/// A
pub fn issue_title(_r: &Repair) -> String {
    "CI fails".to_owned()
}
/// A
pub fn summary(r: &Repair) -> String {
    super::markdown(r)
}
