//! What is settled of a job once all its commands are known.

use std::collections::BTreeSet;

use super::{
    Check, Job, Line, Origin, actions, commands,
    shell::{self, Purpose},
};
use crate::sandbox::Network;

impl Job {
    /// `make` alone makes `target`: where that installs, it is no check. What failed is one still, and so is all that
    /// there is: the installation is what is to be repaired.
    pub(super) fn make_alone(&mut self, target: &str, failing: Option<&str>) {
        let installs = shell::split(&format!("make {target}")).iter().all(|c| c.purpose == Purpose::Install);
        if !installs {
            return;
        }
        let alone = |check: &Check| check.script.lines().last() == Some("make");
        let only = self.checks.iter().all(alone);
        for check in std::mem::take(&mut self.checks) {
            match alone(&check) {
                true if only || failing == Some(check.step.as_str()) => {
                    self.checks.push(Check { network: Network::Full, installs: true, ..check });
                }
                true => self.install.push(Line { script: check.script, origin: check.origin, step: check.step }),
                false => self.checks.push(check),
            }
        }
    }

    /// What holds of all its commands together.
    pub(super) fn finish(&mut self) {
        self.activate_nothing();
        self.bring_tools();
        // The same twice brings nothing in.
        let mut known = BTreeSet::new();
        self.install.retain(|line| known.insert(line.script.clone()));
        self.copies_project = self.install.iter().any(|line| commands::copies_project(&line.script));
    }

    /// An environment that the job would have made elsewhere is the sandbox's own: nothing is to be activated.
    fn activate_nothing(&mut self) {
        let failed = self.checks.iter().filter(|check| check.installs).map(|check| &check.script);
        let mut installs = self.install.iter().map(|line| &line.script).chain(failed);
        let made = installs.any(|script| commands::makes_environment(script));
        let scripts = self
            .install
            .iter_mut()
            .chain(&mut self.setup)
            .map(|line| &mut line.script)
            .chain(self.checks.iter_mut().map(|check| &mut check.script));
        for script in scripts.filter(|script| script.contains("activate") || script.contains("$VENV")) {
            let kept = script.lines().filter(|line| !commands::activates(line, made));
            *script = kept.collect::<Vec<_>>().join("\n");
        }
        self.install.retain(|line| !line.script.trim().is_empty());
        self.setup.retain(|line| !line.script.trim().is_empty());
        self.checks.retain(|check| !check.script.trim().is_empty());
    }

    /// A program that the job uses and that nothing of it brings in: an action that is not known did, or the image.
    fn bring_tools(&mut self) {
        let scripts = self.install.iter().map(|line| &line.script).chain(self.checks.iter().map(|check| &check.script));
        let used: BTreeSet<(&str, bool)> =
            scripts.flat_map(|script| script.lines()).filter_map(commands::program).collect();
        let brought = |tool: &str| {
            let known = |(name, _): &(String, String)| name.eq_ignore_ascii_case(tool);
            self.versions.iter().any(known) || self.install.iter().any(|line| commands::brings(&line.script, tool))
        };
        let missing: Vec<Line> = used
            .into_iter()
            .filter(|(tool, _)| !brought(tool))
            .map(|(tool, module)| Line {
                script: if module { format!("pip install {tool}") } else { actions::tool(tool, None) },
                origin: Origin::Project,
                step: format!("the job uses {tool}, and no step that is rebuilt brings it in"),
            })
            .collect();
        self.install.splice(..0, missing);
    }
}
