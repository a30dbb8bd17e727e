//! The system calls a run may not make.

use std::{collections::BTreeMap, io};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule, sock_filter,
};

/// Which sockets a run may open. Socket pairs are always allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sockets {
    /// None at all: there is no network namespace that would hold them.
    None,
    /// Internet sockets, but no Unix ones: those of the machine could be reached.
    Internet,
    /// Internet and Unix sockets: namespaces and mounts decide what they reach.
    InternetAndUnix,
}

/// Calls that are denied with EPERM, whatever their arguments.
const DENIED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Calls that do not exist: libraries know how to go on without them.
const ABSENT: &[libc::c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_io_uring_setup];

/// The flags of clone that make namespaces; CLONE_NEWTIME shares its bit with the exit signal there.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The filters, to be applied in this order.
pub(super) fn programs(sockets: Sockets) -> io::Result<Vec<BpfProgram>> {
    let mut denied: Rules = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let mut clone = Vec::new();
    for flag in NAMESPACES {
        let flag = u64::from(flag.unsigned_abs());
        clone.push(rule([Condition::new(0, Len::Qword, Op::MaskedEq(flag), flag)])?);
    }
    denied.insert(libc::SYS_clone, clone);
    let mut ioctl = Vec::new();
    // TIOCSTI and TIOCLINUX put words into a terminal's mouth.
    for request in [0x5412, 0x541c] {
        ioctl.push(rule([Condition::new(1, Len::Dword, Op::Eq, request)])?);
    }
    denied.insert(libc::SYS_ioctl, ioctl);
    let absent: Rules = ABSENT.iter().map(|call| (*call, Vec::new())).collect();
    let mut programs = vec![
        compile(denied, libc::EPERM)?,
        compile(absent, libc::ENOSYS)?,
        compile(BTreeMap::from([(libc::SYS_socket, families(sockets)?)]), libc::EACCES)?,
    ];
    if cfg!(target_arch = "x86_64") {
        programs.push(no_x32());
    }
    Ok(programs)
}

type Rules = BTreeMap<libc::c_long, Vec<Rule>>;

fn families(sockets: Sockets) -> io::Result<Vec<Rule>> {
    let allowed: &[libc::c_int] = match sockets {
        // An empty list of rules denies the call whatever its arguments.
        Sockets::None => return Ok(Vec::new()),
        Sockets::Internet => &[libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
        Sockets::InternetAndUnix => &[libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_UNIX],
    };
    let other = allowed
        .iter()
        .map(|family| Condition::new(0, Len::Dword, Op::Ne, u64::from(family.unsigned_abs())))
        .collect::<Vec<_>>();
    // Netlink only to ask for interfaces and routes, as getaddrinfo and getifaddrs do.
    let netlink = u64::from(libc::AF_NETLINK.unsigned_abs());
    let route = u64::from(libc::NETLINK_ROUTE.unsigned_abs());
    Ok(vec![
        rule(other)?,
        rule([Condition::new(0, Len::Dword, Op::Eq, netlink), Condition::new(2, Len::Dword, Op::Ne, route)])?,
    ])
}

fn rule(conditions: impl IntoIterator<Item = Result<Condition, seccompiler::BackendError>>) -> io::Result<Rule> {
    let conditions = conditions.into_iter().collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    Rule::new(conditions).map_err(io::Error::other)
}

fn compile(rules: Rules, errno: libc::c_int) -> io::Result<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        arch,
    )
    .and_then(TryInto::try_into)
    .map_err(io::Error::other)
}

/// The x32 calls of an x86-64 kernel have numbers of their own, which would slip past a list of the usual ones.
fn no_x32() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const X32: u32 = 0x4000_0000;
    const ALLOW: u32 = 0x7fff_0000;
    const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS.unsigned_abs();
    vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: X32 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: ENOSYS },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: ALLOW },
    ]
}

#[cfg(test)]
mod tests {
    use super::{Sockets, programs};

    #[test]
    fn every_filter_compiles() {
        for sockets in [Sockets::None, Sockets::Internet, Sockets::InternetAndUnix] {
            assert!(programs(sockets).unwrap().iter().all(|program| !program.is_empty()));
        }
    }
}
