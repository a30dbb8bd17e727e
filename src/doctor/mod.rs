//! doctor: what this machine can do, and what is missing: for any repair, and for a repository's own CI.

mod needs;
mod repository;

use std::process::{Command, Stdio};

use anyhow::Result;
use console::style;

use repository::Machine;

use crate::{
    cli::{self, DoctorArgs},
    config::Config,
    input,
    llm::price,
    redact::shown_line,
    report::{self, Table},
    sandbox::{Chosen, choose, pythons},
    size,
};

/// Looks at everything that a repair needs, and prints it. 0 when nothing is missing, 1 else.
///
/// # Errors
/// When this program can't find itself.
pub async fn doctor(args: &DoctorArgs) -> Result<u8> {
    let mut table = Table::new(&["what", "", "found"]);
    let mut complete = true;
    let mut row = |what: &str, found: Result<String, String>, needed: bool| {
        let (mark, text) = match found {
            Ok(text) => (style("ok").green(), text),
            Err(text) if needed => {
                complete = false;
                (style("missing").red(), text)
            }
            Err(text) => (style("–").dim(), text),
        };
        table.row(vec![what.to_owned(), mark.to_string(), text]);
    };
    row("test-repair", Ok(env!("CARGO_PKG_VERSION").to_owned()), true);
    row("git", version("git", "install git: trees and patches are read with it"), true);
    row("bash", version("bash", "install bash: it runs the job's commands"), true);
    let pythons = pythons();
    let machine = Machine::this(pythons.clone());
    let found =
        if pythons.is_empty() { Err("install Python 3 with venv and pip".to_owned()) } else { Ok(pythons.join(", ")) };
    row("Python", found, true);
    row("uv", version("uv", "not there: Pythons come from PATH and pyenv"), false);
    row("bubblewrap", version("bwrap", "not there: the sandbox uses the kernel directly"), false);
    let cache = args.sandbox.environments();
    let origin = match args.sandbox.cache_dir {
        Some(_) => "--cache-dir or TEST_REPAIR_CACHE",
        None => "default",
    };
    let choice = args.sandbox.choice()?;
    let chosen = choose(choice, &cache, cli::launcher()?, &[], |_| {}).await;
    let days = cache.limits.age.as_secs() / (24 * 3600);
    let kept = format!("at most {days} days and {}", size::shown(cache.limits.bytes));
    row("cache", Ok(format!("{} ({origin}), {kept}", cache.root.display())), true);
    match &chosen {
        Ok(Chosen { sandbox, why }) => {
            let posture = sandbox.posture();
            row("sandbox", Ok(format!("{}: {}", posture.kind, posture.enforced.join(", "))), true);
            for missing in why.iter().chain(&posture.missing) {
                row("", Err(missing.clone()), false);
            }
        }
        Err(error) => row("sandbox", Err(error.to_string()), true),
    }
    let flags = args.model.flags(&args.sandbox);
    let model = Config::default().model(&flags);
    let model = model.map(|model| {
        let prices = match price::price_of(&model.model) {
            Some(_) => format!(", prices of {}", price::list_date().0),
            None => ", of which no price is known".to_owned(),
        };
        format!("{} at {}{prices}", shown_line(&model.model, 100), shown_line(&model.base_url, 200))
    });
    row("model", model.ok_or_else(|| "DEEPSEEK_API_KEY is not set: rules and diagnosis only".to_owned()), false);
    report::print(&table.render(0));
    if let Some(repository) = &args.repo {
        let mut table = Table::new(&["configuration", "value", "from"]);
        let config = Config::of(&input::read_repository(repository)?)?;
        for (name, value, origin) in config.origins(&flags) {
            table.row(vec![name.to_owned(), value, origin.to_owned()]);
        }
        report::print(&format!("\n{}", table.render(0)));
        let (table, whole) = repository::table(&needs::read(&repository.canonicalize()?), &machine, repository);
        complete &= whole;
        if let Some(table) = table {
            report::print(&format!("\n{}", table.render(0)));
        }
    }
    Ok(u8::from(!complete))
}

fn version(program: &str, otherwise: &str) -> Result<String, String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
        }
        _ => Err(otherwise.to_owned()),
    }
}
