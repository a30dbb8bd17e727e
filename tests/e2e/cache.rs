//! The cache of environments, listed and pruned.

use crate::world::{World, run};

/// A world with a cache of its own that holds one environment.
fn built(world: &World) -> std::path::PathBuf {
    world.example("missing-import");
    let log = crate::world::project("examples/missing-import.log");
    let cache = world.cache().join(format!("listed-{}", std::process::id()));
    let mut fix = world.command();
    fix.env("TEST_REPAIR_CACHE", &cache).args(["fix", "--repo", "missing-import", "--python", "3", "--rules-only"]);
    let output = run(fix.arg("--log").arg(log));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    cache
}

#[test]
fn what_the_cache_holds_is_listed_and_pruned() {
    let world = World::new();
    let cache = built(&world);
    let place = cache.to_str().unwrap();
    let listed = world.run(&["cache", "--cache-dir", place]).exits_with(0).prints("missing-import").prints("in all");
    assert!(!listed.stdout.contains("killed"), "{}", listed.stdout);
    let json = world.run(&["cache", "--cache-dir", place, "--format", "json"]).exits_with(0).json();
    let environment = &json["environments"][0];
    assert_eq!((&environment["state"], &environment["project"]), (&"ready".into(), &"missing-import".into()));
    assert!(["isolated", "open"].iter().any(|kind| environment["kind"] == *kind), "{json:#}");
    assert!(environment["python"].as_str().unwrap().starts_with("3."), "{json:#}");
    assert!(environment["bytes"].as_u64().unwrap() > 0 && json["bytes"].as_u64() >= environment["bytes"].as_u64());
    // Young, and small: it stays.
    world.run(&["cache", "prune", "--cache-dir", place]).exits_with(0).prints("0 B freed");
    let all = ["cache", "prune", "--older-than", "0", "--cache-dir", place];
    world.run(&[&all[..], &["--dry-run"]].concat()).exits_with(0).prints("would go").prints("not used for too long");
    assert_eq!(
        world.run(&["cache", "--cache-dir", place, "--format", "json"]).json()["environments"],
        json["environments"]
    );
    world.run(&[&all[..], &["--format", "json"]].concat()).exits_with(0).prints("\"removed\":[{");
    world.run(&["cache", "--cache-dir", place]).exits_with(0).prints("environments  0");
    std::fs::remove_dir_all(cache).unwrap();
}

#[test]
fn a_size_or_an_age_that_is_none_is_refused_and_an_absent_cache_is_empty() {
    let world = World::new();
    world.run(&["cache", "prune", "--max-size", "20 apples"]).exits_with(2).complains(&["20GiB"]);
    world.run(&["cache", "prune", "--older-than", "never"]).exits_with(2).complains(&["days"]);
    world.run(&["cache", "--cache-dir", "absent"]).exits_with(0).prints("0 B in all");
    assert!(!world.path("absent").exists());
}
