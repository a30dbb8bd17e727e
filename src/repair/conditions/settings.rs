//! What is changed from run to run: one thing at a time.

use super::Dependence;
use crate::detect::Seeds;

/// Which of a check's tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All, or just those in question where all take long.
    Usual,
    /// All.
    Whole,
    /// Just those in question.
    Alone,
}

/// A run's conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// What a sentence says after "fails" or "passes".
    pub(super) words: String,
    /// Shell lines before the check's script.
    pub(super) lines: String,
    pub(super) scope: Scope,
}

/// tox hands on what it is told to: version 4 by the first, 3 by the second.
const INTO_TOX: &str = "\
export TOX_OVERRIDE='testenv.pass_env+=PYTEST_ADDOPTS,TZ,LC_ALL,LANG,LANGUAGE,PYTHONUTF8,PYTHONCOERCECLOCALE,PYTHONPATH,TEST_REPAIR_*'
export TOX_TESTENV_PASSENV='PYTEST_ADDOPTS TZ LC_ALL LANG LANGUAGE PYTHONUTF8 PYTHONCOERCECLOCALE PYTHONPATH TEST_REPAIR_*'
";

impl Setting {
    fn new(words: impl Into<String>, changes: impl AsRef<str>) -> Setting {
        let changes = changes.as_ref();
        let lines = if changes.is_empty() { String::new() } else { format!("{INTO_TOX}{changes}") };
        Setting { words: words.into(), lines, scope: Scope::Usual }
    }

    /// Nothing is changed.
    pub(super) fn as_it_stands() -> Setting {
        Setting::new("as it stands", "")
    }

    fn of(self, scope: Scope) -> Setting {
        Setting { scope, ..self }
    }

    /// With these options for pytest; another runner does not see them.
    fn with_options(words: impl Into<String>, options: &str) -> Setting {
        Setting::new(words, format!("export PYTEST_ADDOPTS=\"$PYTEST_ADDOPTS {options}\"\n"))
    }
}

/// One thing that may matter: its settings, and what is known of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dimension {
    pub(super) of: Dependence,
    pub(super) settings: Vec<Setting>,
    /// The setting that the others are compared with, where how it ends is known. Otherwise two are looked for that differ.
    pub(super) control: Option<Setting>,
}

/// What is known of the job and its environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// When CI ran the check: seconds of Unix time.
    pub(super) ran: Option<i64>,
    pub(super) seeds: Seeds,
    /// pytest-randomly is installed, and shuffles.
    pub(super) shuffles: bool,
    /// Can the tests in question run alone?
    pub(super) alone: bool,
    /// A locale whose language is not English.
    pub(super) foreign: Option<String>,
}

/// Hash seeds and seeds of chance that are tried besides CI's.
const SEEDS: std::ops::Range<u32> = 0..5;

/// What may make a failure show that was not seen here.
pub(super) fn of_unseen(known: &Known) -> Vec<Dimension> {
    let stands = || Some(Setting::as_it_stands());
    let zones = [
        ("UTC", "UTC0"),
        ("America/New_York", "EST5EDT,M3.2.0,M11.1.0"),
        ("Asia/Kolkata", "IST-5:30"),
        ("Pacific/Kiritimati", "<+14>-14"),
    ];
    let clock = known.ran.map(|ran| clock_at(ran, "when CI ran"));
    let mut dimensions = vec![
        Dimension { of: Dependence::Clock, settings: clock.into_iter().collect(), control: Some(clock_as_it_is()) },
        Dimension {
            of: Dependence::TimeZone,
            settings: zones.iter().map(|(name, rule)| zone(name, rule)).collect(),
            control: stands(),
        },
        Dimension { of: Dependence::Locale, settings: locales(known.foreign.as_deref()), control: stands() },
    ];
    dimensions.push(order(known, false));
    dimensions.extend(seeds(known));
    dimensions
}

/// What may make the same check end differently from run to run.
pub(super) fn of_chance(known: &Known) -> Vec<Dimension> {
    let mut dimensions = seeds(known);
    // What is shuffled is the likelier to depend on it.
    dimensions.insert(if known.shuffles { 0 } else { dimensions.len() }, order(known, true));
    dimensions
}

fn seeds(known: &Known) -> Vec<Dimension> {
    let seeds = |own: Option<u32>| own.into_iter().chain(SEEDS);
    let hashes = seeds(known.seeds.hash)
        .map(|seed| Setting::new(format!("with PYTHONHASHSEED={seed}"), format!("export PYTHONHASHSEED={seed}\n")));
    let mut dimensions = vec![Dimension { of: Dependence::HashSeed, settings: hashes.collect(), control: None }];
    if known.shuffles {
        let settings = seeds(known.seeds.randomly).map(|seed| {
            let words = format!("with chance seeded by {seed} (--randomly-seed)");
            Setting::with_options(words, &format!("--randomly-dont-reorganize --randomly-seed={seed}"))
        });
        dimensions.push(Dimension { of: Dependence::RandomSeed, settings: settings.collect(), control: None });
    }
    dimensions
}

/// The order in which tests run, and which run before. `chance`: as it stands, the check ends now so, now so.
fn order(known: &Known, chance: bool) -> Dimension {
    let written = Setting::with_options("in the order in which they are written", "-p no:randomly");
    let before = Setting { words: "after the tests that come before".to_owned(), ..written.clone() }.of(Scope::Whole);
    let mut settings = Vec::new();
    if known.shuffles {
        settings.extend(known.seeds.randomly.into_iter().chain(SEEDS).map(|seed| {
            let words = format!("in the order of --randomly-seed={seed}");
            Setting::with_options(words, &format!("--randomly-dont-reset-seed --randomly-seed={seed}"))
        }));
    }
    let reversed = format!(
        "{}printf %s {} > \"$test_repair/test_repair_reversed.py\"\nexport TEST_REPAIR_REVERSED=1\n\
         export PYTEST_ADDOPTS=\"$PYTEST_ADDOPTS -p no:randomly -p test_repair_reversed\"\n",
        python_of_ours(),
        shell_words::quote(include_str!("reversed.py")),
    );
    settings.push(Setting::new("with the tests in reverse order", reversed));
    let differs = chance || known.shuffles;
    if differs {
        settings.insert(0, written);
    }
    let mut settings: Vec<Setting> = settings.into_iter().map(|setting| setting.of(Scope::Whole)).collect();
    settings.extend(known.alone.then(|| Setting::new("when run alone", "").of(Scope::Alone)));
    Dimension { of: Dependence::Order, settings, control: (!differs).then_some(before) }
}

/// Dates at which a failure of today may not have shown.
pub(super) fn of_dates(dates: &[(i64, &'static str)]) -> Dimension {
    let settings = dates.iter().map(|(date, when)| clock_at(*date, when)).collect();
    Dimension { of: Dependence::Clock, settings, control: Some(clock_as_it_is()) }
}

fn zone(name: &str, rule: &str) -> Setting {
    // Images without zone files know the rule.
    let lines = format!("if [ -e /usr/share/zoneinfo/{name} ]; then export TZ={name}; else export TZ='{rule}'; fi\n");
    Setting::new(format!("with TZ={name}"), lines)
}

fn locales(foreign: Option<&str>) -> Vec<Setting> {
    let ascii = "export LC_ALL=C LANG=C LANGUAGE= PYTHONUTF8=0 PYTHONCOERCECLOCALE=0\nunset PYTHONIOENCODING\n";
    let ascii = Setting::new("in the C locale, without UTF-8", ascii);
    let foreign = foreign.map(|name| {
        let lines = format!("export LC_ALL={name} LANG={name}\nunset LANGUAGE\n", name = shell_words::quote(name));
        Setting::new(format!("with LC_ALL={name}"), lines)
    });
    [ascii].into_iter().chain(foreign).collect()
}

/// Our own Python, before the environment's.
fn python_of_ours() -> String {
    format!(
        "test_repair=\"${{GITHUB_ENV%/*}}/conditions\"\nmkdir -p \"$test_repair\"\n\
         printf %s {} > \"$test_repair/sitecustomize.py\"\n\
         export PYTHONPATH=\"$test_repair${{PYTHONPATH:+:$PYTHONPATH}}\"\n",
        shell_words::quote(include_str!("sitecustomize.py")),
    )
}

/// The clock stands at `instant` when the check begins, and goes on from there.
fn clock_at(instant: i64, when: &str) -> Setting {
    let date = jiff::Timestamp::from_second(instant).map(|at| at.strftime("%Y-%m-%d").to_string());
    let words = format!("with the clock at {}, {when}", date.unwrap_or_else(|_| instant.to_string()));
    Setting::new(words, format!("{}export TEST_REPAIR_CLOCK=$(({instant} - $(date +%s)))\n", python_of_ours()))
}

/// Through the same means, so that nothing differs but the date.
fn clock_as_it_is() -> Setting {
    Setting::new("with today's clock", format!("{}export TEST_REPAIR_CLOCK=0\n", python_of_ours()))
}
