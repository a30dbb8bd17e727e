//! The processes below one: what they use, and their end.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// One line of `/proc/<pid>/stat`, in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: i32,
    threads: u32,
    resident_pages: u64,
}

/// What a tree uses.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) pids: Vec<i32>,
    pub(super) threads: u32,
    /// Pages shared between the processes count in each.
    pub(super) resident: u64,
}

fn parse(stat: &str) -> Option<Stat> {
    // The name may hold anything, parentheses too; the fields start after the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let threads = fields.nth(15)?.parse().ok()?;
    let resident_pages = fields.nth(3)?.parse::<i64>().ok()?.max(0).unsigned_abs();
    Some(Stat { parent, threads, resident_pages })
}

/// The numbers in `/proc`.
pub(super) fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Everything below `root`, itself left out.
pub(super) fn below(root: i32) -> Usage {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096).unsigned_abs();
    let mut stats = HashMap::new();
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in pids() {
        if let Some(stat) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(parse) {
            children.entry(stat.parent).or_default().push(pid);
            stats.insert(pid, stat);
        }
    }
    let mut usage = Usage::default();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        // Taken out, so that a number reused while we read cannot make a loop.
        for child in children.remove(&parent).unwrap_or_default() {
            if let Some(stat) = stats.get(&child) {
                usage.threads += stat.threads.max(1);
                usage.resident += stat.resident_pages * page;
            }
            usage.pids.push(child);
            next.push(child);
        }
    }
    usage
}

/// The memory of these processes with shared pages counted once; `None` where the kernel does not say.
pub(super) fn proportional(pids: &[i32]) -> Option<u64> {
    let mut total = 0;
    let mut known = false;
    for pid in pids {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { continue };
        let pss = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        total += pss? * 1024;
        known = true;
    }
    known.then_some(total)
}

/// Collects ended children; how `main` ended, if it was among them.
pub(super) fn reap(main: Pid) -> (Option<WaitStatus>, bool) {
    let mut main_ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return (main_ended, false),
            Ok(status) if status.pid() == Some(main) => main_ended = Some(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return (main_ended, true),
        }
    }
}

/// Kills everything below this process until nothing is left. It must be a subreaper.
pub(super) fn kill_all(uid: Option<u32>, main: Pid) -> Option<WaitStatus> {
    let me = nix::unistd::getpid().as_raw();
    let mut main_ended = None;
    for round in 0_u64.. {
        let mut pids = below(me).pids;
        if round > 0 {
            // Stopped first, a fork bomb cannot outrun the list.
            pids = stop(me, pids);
        }
        for pid in pids {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if let Some(uid) = uid.filter(|_| round > 1) {
            kill_user(uid);
        }
        let (ended, empty) = reap(main);
        main_ended = main_ended.or(ended);
        if empty {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(round.clamp(1, 10)));
    }
    main_ended
}

/// Stops everything below `root` until nothing new shows up.
fn stop(root: i32, mut fresh: Vec<i32>) -> Vec<i32> {
    let mut stopped = HashSet::new();
    while !fresh.is_empty() {
        for pid in &fresh {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGSTOP);
        }
        stopped.extend(fresh);
        fresh = below(root).pids;
        fresh.retain(|pid| !stopped.contains(pid));
    }
    stopped.into_iter().collect()
}

/// How many processes and threads a user has.
pub(super) fn threads_of(uid: u32) -> u64 {
    let own = pids().filter(|pid| fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == uid));
    let stats = own.filter_map(|pid| parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?));
    stats.map(|stat| u64::from(stat.threads)).sum()
}

/// Kills every process of a user that only one run has; the kernel does it in one step, so none can slip away.
pub(super) fn kill_user(uid: u32) {
    if uid == 0 || !nix::unistd::geteuid().is_root() {
        return;
    }
    match super::sys::fork() {
        Ok(None) => {
            if super::sys::become_user(uid).is_ok() && nix::unistd::geteuid().as_raw() == uid {
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
            }
            super::sys::exit_now(0)
        }
        Ok(Some(child)) => {
            let _ = waitpid(child, None);
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Stat, below, parse};

    #[test]
    fn a_process_name_with_spaces_and_parentheses_is_skipped() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 5 0 99 1000000 250 18446744073709551615";
        assert_eq!(parse(line), Some(Stat { parent: 3, threads: 5, resident_pages: 250 }));
    }

    #[test]
    fn a_broken_line_is_nothing() {
        assert_eq!(parse("7 (a) S"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_child_is_below_us() {
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        let us = nix::unistd::getpid().as_raw();
        assert!(below(us).pids.contains(&i32::try_from(child.id()).unwrap()));
        // Between fork and exec a process may hold no memory of its own.
        let begun = std::time::Instant::now();
        while below(us).resident == 0 {
            assert!(begun.elapsed().as_secs() < 5, "no memory is seen");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
