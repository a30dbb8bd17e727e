//! Which mutants are tried, in which order, and what their fate says of the tests.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ruling, mutants::Kind};

/// So many mutants are tried for the change as a whole.
pub(super) const MUTANTS: usize = 12;

/// A test that kills none of so many was given its chance.
const CHANCES: usize = 4;

/// No more are put in order.
const ORDERED: usize = 120;

/// A mutant, as far as the choice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// File and function.
    pub(super) function: String,
    pub(super) kind: Kind,
    pub(super) line: u32,
    /// The tests that run it, by number.
    pub(super) tests: BTreeSet<usize>,
    /// Did no test run this line before the change?
    pub(super) fresh: bool,
}

/// The order in which mutants are tried: the test that had the fewest is served first, fresh lines before others,
/// then whatever spreads them over functions, lines and kinds. It depends on nothing but the sites.
pub(super) fn order(sites: &[Site]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut left: Vec<usize> = (0..sites.len()).filter(|i| !sites[*i].tests.is_empty()).collect();
    let mut served: BTreeMap<usize, usize> = BTreeMap::new();
    while !left.is_empty() && order.len() < ORDERED {
        let like = |same: &dyn Fn(&Site) -> bool| order.iter().filter(|i: &&usize| same(&sites[**i])).count();
        let cost = |site: &Site| {
            let least = site.tests.iter().map(|t| served.get(t).copied().unwrap_or(0)).min().unwrap_or(0);
            let function = like(&|s| s.function == site.function);
            let line = like(&|s| s.function == site.function && s.line == site.line);
            // A kind that is used up elsewhere is no loss: it counts last.
            (least, !site.fresh, line, function, like(&|s| s.kind == site.kind), site.tests.len())
        };
        let Some(next) = (0..left.len()).min_by_key(|i| (cost(&sites[left[*i]]), *i)) else { break };
        let site = left.remove(next);
        sites[site].tests.iter().for_each(|test| *served.entry(*test).or_default() += 1);
        order.push(site);
    }
    order
}

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    /// Its place among the sites.
    pub(super) site: usize,
    /// The tests that failed with it.
    pub(super) killers: BTreeSet<usize>,
    /// In words.
    pub(super) what: String,
}

/// Should this one still be tried, after those?
pub(super) fn wanted(site: &Site, sites: &[Site], fates: &[Fate]) -> bool {
    fates.len() < MUTANTS
        || site.tests.iter().any(|test| {
            let tried = tried(*test, sites, fates);
            tried.len() < CHANCES && !tried.iter().any(|fate| fate.killers.contains(test))
        })
}

fn tried<'f>(test: usize, sites: &[Site], fates: &'f [Fate]) -> Vec<&'f Fate> {
    fates.iter().filter(|fate| sites[fate.site].tests.contains(&test)).collect()
}

/// What the mutants say of the tests, which are known by name. `complete` when time was left for all that were wanted.
pub(super) fn ruling(names: &[String], sites: &[Site], fates: &[Fate], complete: bool) -> Ruling {
    let mut reasons = Vec::new();
    let mut why = Vec::new();
    for (test, name) in names.iter().enumerate() {
        let tried = tried(test, sites, fates);
        let there = sites.iter().filter(|site| site.tests.contains(&test)).count();
        if tried.iter().any(|fate| fate.killers.contains(&test)) {
            continue;
        }
        if !tried.is_empty() && (complete || tried.len() >= CHANCES.min(there)) {
            let survivors: Vec<&str> = tried.iter().map(|fate| fate.what.as_str()).collect();
            reasons.push(format!(
                "{name} asserts nothing that the code does: it passes whatever is broken in what it runs ({})",
                survivors.join("; ")
            ));
        } else {
            why.push(format!("nothing that {name} runs could be broken to see whether it would fail"));
        }
    }
    let fresh: Vec<&Fate> = fates.iter().filter(|fate| sites[fate.site].fresh).collect();
    let counted = if fresh.is_empty() { fates.iter().collect() } else { fresh };
    let killed = counted.iter().filter(|fate| !fate.killers.is_empty()).count();
    let survivors: Vec<&str> = counted.iter().filter(|f| f.killers.is_empty()).map(|f| f.what.as_str()).collect();
    let figures =
        format!("{killed} of {} ways to break the newly covered lines make the new tests fail", counted.len());
    let figures = match survivors.is_empty() {
        true => figures,
        false => format!("{figures}; they miss {}", survivors.join("; ")),
    };
    if counted.is_empty() {
        why.push("nothing that the new tests run could be broken to see whether they would fail".to_owned());
    } else if 2 * killed < counted.len() {
        reasons.push(format!("only {figures}"));
    }
    match (reasons.is_empty(), why.is_empty()) {
        (false, _) => Ruling::Fails { reasons },
        (true, false) => Ruling::NotShown { why },
        (true, true) => Ruling::Holds { notes: vec![figures] },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn site(function: &str, kind: Kind, line: u32, tests: &[usize], fresh: bool) -> Site {
        Site { function: function.to_owned(), kind, line, tests: tests.iter().copied().collect(), fresh }
    }

    fn fate(site: usize, killers: &[usize]) -> Fate {
        Fate { site, killers: killers.iter().copied().collect(), what: format!("mutant {site}") }
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("test_{n}")).collect()
    }

    #[test]
    fn mutants_are_spread_over_tests_functions_and_lines() {
        let sites = [
            site("f", Kind::Compare, 1, &[0], true),
            site("f", Kind::Constant, 1, &[0], true),
            site("f", Kind::Return, 2, &[0], true),
            site("g", Kind::Return, 9, &[1], true),
            site("g", Kind::Return, 8, &[1], false),
            site("h", Kind::Return, 20, &[], true),
        ];
        assert_eq!(order(&sites), [0, 3, 2, 4, 1]);
    }

    #[test]
    fn a_test_that_kills_nothing_is_named() {
        let sites: Vec<Site> = (0..4).map(|n| site("f", Kind::Return, n, &[0, 1], true)).collect();
        let fates: Vec<Fate> = (0..4).map(|n| fate(n, &[0])).collect();
        let Ruling::Fails { reasons } = ruling(&names(2), &sites, &fates, true) else { panic!() };
        assert!(reasons.len() == 1 && reasons[0].starts_with("test_1 asserts nothing"), "{reasons:?}");
    }

    #[test]
    fn less_than_half_killed_is_too_little_and_half_is_enough() {
        let sites: Vec<Site> = (0..4).map(|n| site("f", Kind::Return, n, &[0], true)).collect();
        let one = [fate(0, &[0]), fate(1, &[]), fate(2, &[]), fate(3, &[])];
        assert!(matches!(ruling(&names(1), &sites, &one, true), Ruling::Fails { .. }));
        let two = [fate(0, &[0]), fate(1, &[0]), fate(2, &[]), fate(3, &[])];
        let Ruling::Holds { notes } = ruling(&names(1), &sites, &two, true) else { panic!() };
        assert!(notes[0].starts_with("2 of 4") && notes[0].ends_with("mutant 2; mutant 3"), "{notes:?}");
    }

    #[test]
    fn only_newly_covered_lines_count_where_there_are_any() {
        let mut sites = vec![site("f", Kind::Return, 1, &[0], true)];
        sites.extend((2..5).map(|n| site("f", Kind::Return, n, &[0], false)));
        let fates = [fate(0, &[0]), fate(1, &[]), fate(2, &[]), fate(3, &[])];
        assert!(matches!(ruling(&names(1), &sites, &fates, true), Ruling::Holds { .. }));
    }

    #[test]
    fn what_was_not_tried_is_not_shown() {
        let sites: Vec<Site> = (0..4).map(|n| site("f", Kind::Return, n, &[0], true)).collect();
        assert!(matches!(ruling(&names(1), &sites, &[], false), Ruling::NotShown { .. }));
        assert!(matches!(ruling(&names(1), &[], &[], true), Ruling::NotShown { .. }));
        // A second test that runs nothing: nobody can say.
        let killed = [fate(0, &[0])];
        assert!(matches!(ruling(&names(2), &sites[..1], &killed, true), Ruling::NotShown { .. }));
    }

    #[test]
    fn a_test_without_a_kill_gets_more_chances_than_the_others() {
        let mut sites: Vec<Site> = (0..12).map(|n| site("f", Kind::Return, n, &[0], true)).collect();
        sites.push(site("g", Kind::Return, 1, &[1], true));
        sites.push(site("f", Kind::Return, 13, &[0], true));
        let fates: Vec<Fate> = (0..12).map(|n| fate(n, &[0])).collect();
        assert!(wanted(&sites[12], &sites, &fates) && !wanted(&sites[13], &sites, &fates));
    }

    proptest! {
        #[test]
        fn every_test_that_runs_anything_is_served(runs in proptest::collection::vec(
            proptest::collection::btree_set(0_usize..5, 0..4), 0..40,
        )) {
            let sites: Vec<Site> = runs.iter().enumerate()
                .map(|(n, tests)| Site { tests: tests.clone(), ..site("f", Kind::Return, u32::try_from(n).unwrap(), &[], n % 2 == 0) })
                .collect();
            let order = order(&sites);
            let distinct: BTreeSet<_> = order.iter().collect();
            prop_assert_eq!(distinct.len(), runs.iter().filter(|tests| !tests.is_empty()).count());
            let first: BTreeSet<usize> = order.iter().take(MUTANTS).flat_map(|i| sites[*i].tests.clone()).collect();
            let all: BTreeSet<usize> = runs.iter().flatten().copied().collect();
            prop_assert_eq!(first, all);
        }
    }
}
