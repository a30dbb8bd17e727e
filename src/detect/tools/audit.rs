//! Known vulnerabilities of dependencies: pip-audit, safety, npm audit.

use super::{Kind, Read, Tool};
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink};
use crate::detect::text::{bounded, patterns};

patterns! {
    PIP_AUDIT = r"^(\S+)\s+(\S+)\s+((?:PYSEC|GHSA|CVE|OSV)-[\w-]+)(?:\s+(\S.*?))?\s*$";
    SAFETY = r"^-> Vulnerability found in (\S+) version (\S+)";
    SAFETY_ID = r"^\s*Vulnerability ID: (\S+)";
    SAFETY_SCAN = r"^\s*-> Vuln ID (\S+): (.*)$";
    SAFETY_PACKAGE = r"^\s*-?\s*([\w.-]+)==(\S+)\s+\[\d+ vulnerabilit";
    NPM_PACKAGE = r"^(@?[\w./-]+)  (\S.*)$";
    NPM_SEVERITY = r"^Severity: (\w+)";
    NPM_ADVISORY = r"^(.+) - https://github\.com/advisories/(GHSA-[\w-]+)";
}

pub(super) const TOOL: Kind = Kind::new(
    &["PYSEC-", "GHSA-", "CVE-#", "OSV-#", "-> Vuln", "Vulnerability ID: ", " vulnerabilit", "Severity: "],
    || Box::<Audit>::default(),
);

/// The package that the lines which follow are about.
#[derive(Debug, Default)]
struct Audit {
    package: Option<(String, String)>,
}

impl Tool for Audit {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        if let Some(found) = PIP_AUDIT.captures(line) {
            let fixed = found.get(4).map_or("", |fixed| fixed.as_str());
            let message = format!("{} {} {} fixed in {fixed}", &found[1], &found[2], &found[3]);
            push(sink, "pip-audit", &found[1], &found[3], message.trim_end_matches(" fixed in "));
        } else if let Some(found) = SAFETY.captures(line) {
            self.package = Some((found[1].to_owned(), found[2].to_owned()));
        } else if let Some(found) = SAFETY_PACKAGE.captures(line) {
            self.package = Some((found[1].to_owned(), found[2].to_owned()));
        } else if let Some(found) = SAFETY_ID.captures(line)
            && let Some((name, version)) = &self.package
        {
            let message = format!("{name} {version} {}", &found[1]);
            push(sink, "safety", &name.clone(), &found[1], &message);
        } else if let Some(found) = SAFETY_SCAN.captures(line)
            && let Some((name, version)) = &self.package
        {
            let message = format!("{name} {version} {}: {}", &found[1], &found[2]);
            push(sink, "safety", &name.clone(), &found[1], &message);
        } else if NPM_SEVERITY.is_match(line) {
            let before = sink.recent.before(1).unwrap_or_default();
            self.package = NPM_PACKAGE.captures(&before).map(|found| (found[1].to_owned(), found[2].to_owned()));
        } else if let Some(found) = NPM_ADVISORY.captures(line)
            && let Some((name, version)) = &self.package
        {
            let message = format!("{name} {version}: {} ({})", bounded(&found[1], 300), &found[2]);
            push(sink, "npm", &name.clone(), &found[2], &message);
        } else {
            return Read::Pass;
        }
        Read::Taken
    }
}

fn push(sink: &mut Sink, tool: &'static str, package: &str, advisory: &str, message: &str) {
    let key = Key::Finding { file: package.to_owned(), rule: advisory.to_owned(), symbol: Some(package.to_owned()) };
    sink.push_once(Found::new(Category::Security, tool, key, message));
}
