//! Which system calls a worker may make (seccomp(2)), and Landlock behind that (landlock(7)).

use std::{collections::BTreeMap, fs::File, io};

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, Scope};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// What decoding and talking to the service take. Nothing that puts pages of an upload into a pipe: they would stay in
/// sight when its memory is used again.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_capget,
    libc::SYS_clock_gettime,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sendto,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// What allocators tell the kernel of memory that they do not need, and readers of what they read (madvise(2)).
const ADVICE: [libc::c_int; 3] = [libc::MADV_DONTNEED, libc::MADV_FREE, libc::MADV_SEQUENTIAL];

/// What locks of one process take (futex(2)).
const LOCKS: [libc::c_int; 4] = [
    libc::FUTEX_WAIT,
    libc::FUTEX_WAKE,
    libc::FUTEX_WAIT_BITSET,
    libc::FUTEX_WAKE_BITSET,
];

/// Gives up every capability, then all files and the network, then all other system calls.
/// Whether a file could be opened when only Landlock was there.
pub(super) fn close() -> io::Result<bool> {
    set_no_new_privs(true)?;
    give_up_capabilities()?;
    landlock().map_err(io::Error::other)?;
    let opens_file = File::open("/").is_ok();
    let filter = filter().map_err(io::Error::other)?;
    apply_filter(&filter).map_err(io::Error::other)?;
    Ok(opens_file)
}

/// A worker of a service that runs as root is no root.
fn give_up_capabilities() -> io::Result<()> {
    // The ambient set is younger than the others; without it there is nothing to clear.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    Ok(set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?)
}

/// As much as this kernel knows; the filter does not depend on it.
fn landlock() -> Result<(), RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .restrict_self()?;
    Ok(())
}

fn filter() -> Result<seccompiler::BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<_, _> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let not_executable = || {
        let executable = libc::PROT_EXEC as u64;
        rule(2, SeccompCmpOp::MaskedEq(executable), 0)
    };
    rules.insert(libc::SYS_mmap, vec![not_executable()?]);
    rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
    let advice = ADVICE.map(|advice| rule(2, SeccompCmpOp::Eq, advice as u64));
    rules.insert(
        libc::SYS_madvise,
        advice.into_iter().collect::<Result<_, _>>()?,
    );
    let word = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u32;
    let locks = LOCKS.map(|lock| rule(1, SeccompCmpOp::MaskedEq(word.into()), lock as u64));
    rules.insert(
        libc::SYS_futex,
        locks.into_iter().collect::<Result<_, _>>()?,
    );
    // Aborting sends a signal to oneself.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Eq, own)?]);
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, denied, SeccompAction::Allow, architecture)?.try_into()
}

/// A condition on an argument's lower half.
fn rule(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    let length = SeccompCmpArgLen::Dword;
    SeccompRule::new(vec![SeccompCondition::new(
        argument, length, operator, value,
    )?])
}
