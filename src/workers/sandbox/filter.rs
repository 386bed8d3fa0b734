//! The filter of system calls (seccomp(2)), with Landlock as a second barrier (landlock(7)).

use std::{collections::BTreeMap, fs::File, io};

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, Scope};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// System calls that decoding and the channel need.
///
/// `splice`, `vmsplice` and `tee` must never be added. They put pages of an upload into a pipe,
/// where the check for exclusive memory does not see them, and a compromised worker could read the
/// next upload.
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

/// Advice to the kernel (madvise(2)): from allocators on unused memory, and from readers of a
/// mapping on their order.
const ADVICE: [libc::c_int; 3] = [libc::MADV_DONTNEED, libc::MADV_FREE, libc::MADV_SEQUENTIAL];

/// Operations of mutexes and condition variables (futex(2)).
const FUTEX_OPERATIONS: [libc::c_int; 4] = [
    libc::FUTEX_WAIT,
    libc::FUTEX_WAKE,
    libc::FUTEX_WAIT_BITSET,
    libc::FUTEX_WAKE_BITSET,
];

/// Drops all capabilities, then denies files and the network with Landlock, then filters system
/// calls.
///
/// Returns true if a file could be opened with Landlock alone. Only this moment shows it: the
/// filter denies opening anyway.
pub(super) fn enter() -> io::Result<bool> {
    // Both Landlock and seccomp require this of processes without privileges.
    set_no_new_privs(true)?;
    drop_capabilities()?;
    landlock().map_err(io::Error::other)?;
    let opens_file = File::open("/").is_ok();
    let filter = filter().map_err(io::Error::other)?;
    apply_filter(&filter).map_err(io::Error::other)?;
    Ok(opens_file)
}

/// Drops all capabilities, in case the service runs as root.
fn drop_capabilities() -> io::Result<()> {
    // Kernels before 4.3 have no ambient set. There is nothing to clear then.
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

/// Denies all access that this kernel's version of Landlock knows. The filter alone is sufficient
/// on older kernels.
fn landlock() -> Result<(), RulesetError> {
    // ABI 5 is of Linux 6.10, ABI 6 (scopes) of Linux 6.12. The crate leaves out what the kernel
    // does not support.
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
    // Attackers who can write memory but not make it executable cannot bring code of their own.
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
    // Flags that may accompany any operation. The operation is the rest of the argument.
    let flags = libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
    let mask = u64::from(!flags as u32);
    let operations =
        FUTEX_OPERATIONS.map(|operation| rule(1, SeccompCmpOp::MaskedEq(mask), operation as u64));
    rules.insert(
        libc::SYS_futex,
        operations.into_iter().collect::<Result<_, _>>()?,
    );
    // `abort` sends a signal to its own thread. Other processes are out of reach.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Eq, own)?]);
    // An error instead of a kill: libraries try calls that they do not need, and continue without
    // them.
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, denied, SeccompAction::Allow, architecture)?.try_into()
}

/// Makes a rule on one argument. It compares the lower 32 bits, which hold all flags of these
/// arguments.
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
