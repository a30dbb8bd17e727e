//! manual: what a shell and `man` are told of the command line.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;

/// The name that it is installed by.
const NAME: &str = "test-repair";

/// The completions of a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// One page for all commands, as roff.
///
/// # Errors
/// Never, but for a failure to write into memory.
pub fn man() -> Result<String> {
    let mut all = Cli::command();
    all.build();
    let mut page = Vec::new();
    let top = Man::new(all.clone());
    let whole = top
        .render_title(&mut page)
        .and_then(|()| top.render_name_section(&mut page))
        .and_then(|()| top.render_synopsis_section(&mut page))
        .and_then(|()| top.render_description_section(&mut page))
        .and_then(|()| commands(&all, &mut page));
    whole.context("the page cannot be written")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// A section for each command, and for those below it.
fn commands(above: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    for command in above.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
        writeln!(page, ".SH \"{}\"", name.replace('-', "\\-"))?;
        let man = Man::new(command.clone());
        let mut sections = Vec::new();
        man.render_description_section(&mut sections)?;
        man.render_synopsis_section(&mut sections)?;
        if command.get_arguments().next().is_some() {
            man.render_options_section(&mut sections)?;
        }
        // Sections of the command, not of the page; what it is for needs no heading.
        for line in String::from_utf8_lossy(&sections).lines() {
            match line.strip_prefix(".SH ") {
                Some("DESCRIPTION") => writeln!(page, ".PP")?,
                Some(heading) => writeln!(page, ".SS {heading}")?,
                None => writeln!(page, "{line}")?,
            }
        }
        commands(command, page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command's name and every long flag.
    fn words(command: &clap::Command) -> Vec<String> {
        let flags = command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned);
        let below: Vec<&clap::Command> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
        let names = below.iter().map(|c| c.get_name().to_owned());
        flags.chain(names).chain(below.iter().flat_map(|c| words(c))).collect()
    }

    #[test]
    fn every_command_and_flag_is_in_the_page_and_in_the_completions_of_every_shell() {
        let mut all = Cli::command();
        all.build();
        let words = words(&all);
        assert!(words.len() > 100 && words.contains(&"max-cost-usd".to_owned()), "{words:?}");
        let page = man().unwrap().replace("\\-", "-");
        for word in &words {
            assert!(page.contains(word.as_str()), "{word} is not in the page");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = completions(shell);
            for word in &words {
                assert!(script.contains(word.as_str()), "{word} is not in the completions of {shell}");
            }
        }
    }

    #[test]
    fn the_page_has_a_section_for_each_command_and_no_value_of_this_machine() {
        let page = man().unwrap();
        for heading in
            [".SH \"test\\-repair fix\"", ".SH \"test\\-repair cache prune\"", ".SS OPTIONS", ".TH test-repair"]
        {
            assert!(page.contains(heading), "{heading}");
        }
        assert!(!page.contains(".SH OPTIONS"));
    }
}
