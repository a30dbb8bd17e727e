//! What is nobody's code: the runner, the network, credentials, cancellation; and time that ran out.

use super::{Kind, Read, Tool};
use crate::detect::exception;
use crate::detect::failure::{Category, Key};
use crate::detect::found::{Found, Sink, Weight};
use crate::detect::text::{bounded, patterns};

patterns! {
    RUNNER = r"(?xi) The\ runner\ has\ received\ a\ shutdown\ signal | lost\ communication\ with\ the\ server
        | The\ operation\ was\ cancell?ed | A\ task\ was\ cancell?ed | The\ self-hosted\ runner
        | The\ job\ was\ not\ acquired | hosted\ (?:runner|agent).*(?:lost|encountered\ an\ error)
        | Failed\ to\ download\ (?:archive|action) | An\ action\ could\ not\ be\ found | Unable\ to\ resolve\ action
        | Can't\ find\ 'action\.yml' | Unable\ to\ download\ artifact | Artifact\ not\ found\ for\ name | No\ files\ were\ found\ with\ the\ provided\ path
        | an\ artifact\ with\ this\ name\ already\ exists | Unable\ to\ find\ an\ artifact | No\ artifacts?\ found
        | Failed\ to\ CreateArtifact | Failed\ to\ FinalizeArtifact | Create\ Artifact\ Container\ failed | Credentials\ could\ not\ be\ loaded | Could\ not\ load\ credentials
        | Bad\ credentials | Resource\ not\ accessible\ by\ integration | Input\ required\ and\ not\ supplied
        | This\ request\ has\ been\ automatically\ failed\ because\ it\ uses\ a\ deprecated\ version
        | pod\ failed\ to\ come\ online | No\ space\ left\ on\ device | rate\ limit | couldn't\ find\ remote\ ref
        | The\ process\ '.*git(?:\.exe)?'\ failed\ with\ exit\ code | Docker\ pull\ failed | Version\ .*\ was\ not\ found\ in\ the\ local\ cache
        | The\ version\ '.*'\ with\ (?:architecture|the\ arch) .*\ was\ not\ found | repository\ '.*'\ not\ found | Service\ Unavailable | Unexpected\ HTTP\ response
        | Executing\ the\ custom\ container | toomanyrequests | denied:\ requested\ access | HttpError: | ECONNRESET | ETIMEDOUT | EAI_AGAIN
        | Unable\ to\ get\ ACTIONS_ID_TOKEN | Unable\ to\ process\ (?:file\ )?command | The\ hosted\ runner | Context\ access\ might\ be\ invalid
        | (?:login|authenticat\w+)\ (?:failed|attempt\ .*failed) | Failed\ to\ (?:properly\ )?upload | upload\ failed";
    TIMED_OUT = r"(?x) has\ exceeded\ the\ maximum\ execution\ time | has\ timed\ out\ after\ \d+ | returning\ 124$ | ^timeout:\ sending\ signal
        | (?:took|ran\ for)\ (?:longer|more)\ than\ \d+ | \ took\ >\ ?\d+\ ?(?:h|m|s)\w*\b | execution\ took\ longer\ than | ran\ longer\ than\ the\ maximum\ time
        | (?:exceeded|reached)\ (?:the\ |its\ )?(?:time\ ?limit|timeout)\ of\ \d+ | Too\ long\ with\ no\ output";
    DIRTY = r"(?i)\b(?:repository|checkout|working (?:tree|directory|copy)|git (?:tree|status))\b.{0,60}\b(?:dirty|not clean|unclean|uncommitted)\b|\bgenerated (?:files?|code|docs?)\b.{0,60}\b(?:out of (?:date|sync)|outdated|stale|differs?)\b";
    CONFLICT = r"^CONFLICT \([^)]+\): (Merge conflict in (\S.*))$";
    SOFT = r"(?x) No\ space\ left\ on\ device | API\ rate\ limit\ exceeded | couldn't\ find\ remote\ ref | Could\ not\ resolve\ host
        | ^Could\ not\ apply\ [0-9a-f]{7} | ^CONFLICT\ \( | Automatic\ merge\ failed | ^fatal:\ unable\ to\ access
        | ^\s*!\ \[(?:remote\ )?rejected\] | ^error:\ failed\ to\ push\ some\ refs | ^fatal:\ Authentication\ failed
        | ^error:\ pathspec\ '.*'\ did\ not\ match | ^fatal:\ (?:repository\ '.*'\ (?:not\ found|does\ not\ exist)|'.*'\ does\ not\ appear\ to\ be\ a\ git|could\ not\ read\ (?:Username|Password)|Remote\ branch\ .*\ not\ found)
        | Permission\ denied\ \(publickey\) | Host\ key\ verification\ failed | Cannot\ connect\ to\ the\ Docker\ daemon | ^E:\ (?:Failed\ to\ fetch|Unable\ to\ fetch|Could\ not\ get\ lock)
        | ^received\ SIG(?:INT|TERM) | toomanyrequests: | ^gpg:\ .*failed | \]\ FATAL\b.*(?:pod|container|runner)
        | ^curl:\ \(\d+\) | ^wget:\ | \bHTTP\ (?:[Ee]rror\ )?(?:401|403|429|5\d\d)\b | ^HTTPError:\ (?:401|403|429|5\d\d) | Wrote\ only\ \d+\ of\ \d+\ bytes | out\ of\ sync\ with\ the\ (?:corresponding\ )?(?:remote|branch|merge|PR|pull|diff)";
}

pub(super) const TOOL: Kind = Kind::new(
    &[
        "onnect",
        "imed out",
        "resolution",
        "fetch",
        "imeout",
        "not known",
        "unreachable",
        "etries",
        "resolve host",
        "Gateway",
        "navailable",
        "dns error",
        "request for url",
        "IncompleteRead",
        "ProtocolError",
        "UNEXPECTED_EOF",
        "Failed to download",
        "No space left",
        "rate limit",
        "remote ref",
        "Could not apply",
        "CONFLICT (",
        "merge failed",
        "fatal: ",
        "rejected]",
        "failed to push",
        "pathspec",
        "denied (publickey)",
        "Host key",
        "received SIG",
        "toomanyrequests",
        "gpg: ",
        "] FATAL",
        "maximum execution time",
        "returning 124",
        "sending signal",
        "longer than",
        "more than ",
        " took >",
        "ime limit",
        "no output",
        "curl: (",
        "wget: ",
        "HTTP ",
        "HTTPError",
        "out of sync",
        "Wrote only ",
        "dirty",
        "not clean",
        "ncommitted",
        "enerated ",
        "ECONN",
        "ETIMEDOUT",
        "EAI_AGAIN",
        "ENOTFOUND",
        "E: Failed ",
        "E: Unable to ",
        "E: Could not ",
    ],
    || Box::new(Infra),
)
.on_errors()
.in_session();

#[derive(Debug)]
struct Infra;

impl Tool for Infra {
    fn line(&mut self, line: &str, sink: &mut Sink) -> Read {
        let error = sink.error;
        if exception::network(line) {
            if !sink.network && !sink.has(Weight::Hint) {
                let tool = match () {
                    () if line.starts_with("curl: ") => "curl",
                    () if line.starts_with("fatal: ") => "git",
                    () => "network",
                };
                hint(Category::Infra, tool, line, sink, Weight::Hint);
            }
            sink.network = true;
        }
        if line.starts_with("CONFLICT")
            && let Some(found) = CONFLICT.captures(line)
        {
            let file = found[2].to_owned();
            let key = Key::Message { file: Some(file.clone()), message: sink.paths.stable(&found[1]) };
            sink.push_once(Found::new(Category::Infra, "git", key, &found[1]).at(file, None).weigh(Weight::Cause));
            return Read::Pass;
        }
        if (error || line.contains("onnection")) && sink.found.len() > 4000 {
            return Read::Pass;
        }
        let change = ["dirty", "clean", "ncommitted", "enerated"].iter().any(|word| line.contains(word));
        if change && DIRTY.is_match(line) {
            hint(Category::Quality, "git", line, sink, Weight::Hint);
        } else if TIMED_OUT.is_match(line) && (error || !line.contains("::")) {
            let weight = if error { Weight::Runner } else { Weight::Cause };
            hint(Category::Timeout, "runner", line, sink, weight);
        } else if error && RUNNER.is_match(line) {
            hint(Category::Infra, "runner", line, sink, Weight::Runner);
        } else if line.contains(' ') && SOFT.is_match(line) {
            let tool = match () {
                () if line.starts_with("curl: ") => "curl",
                () if line.starts_with("E: ") => "apt",
                () if line.contains("rate limit") => "github",
                () if line.contains("No space left") || line.contains("Wrote only") => "disk",
                () => "git",
            };
            hint(Category::Infra, tool, line, sink, Weight::Hint);
        }
        Read::Pass
    }
}

fn hint(category: Category, tool: &'static str, line: &str, sink: &mut Sink, weight: Weight) {
    let message = sink.paths.stable(line);
    let key = Key::Message { file: None, message };
    sink.push_once(Found::new(category, tool, key, bounded(line.trim(), 1000)).weigh(weight));
}
