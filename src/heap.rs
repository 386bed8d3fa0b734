//! What the C library's allocator keeps of freed memory. Fetching pages from the kernel again and again costs more than
//! many a step of the work. Other allocators are left as they are.

/// Bounds in bytes (mallopt(3)).
pub(crate) struct Keep {
    /// Blocks that are larger go back at once (`M_MMAP_THRESHOLD`).
    pub(crate) blocks: i32,
    /// As much stays at a heap's end (`M_TRIM_THRESHOLD`).
    pub(crate) freed: i32,
    /// A heap grows by so much more than is needed (`M_TOP_PAD`).
    pub(crate) ahead: i32,
}

/// Sets the bounds, for all threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the standard library has no call for it")]
pub(crate) fn keep(bounds: &Keep) {
    for (parameter, bytes) in [
        (libc::M_MMAP_THRESHOLD, bounds.blocks),
        (libc::M_TRIM_THRESHOLD, bounds.freed),
        (libc::M_TOP_PAD, bounds.ahead),
    ] {
        // SAFETY: the call takes numbers alone, and is safe beside others of its kind.
        unsafe { libc::mallopt(parameter, bytes) };
    }
}

/// Gives freed memory back that lies between what is in use, where a process has more than `most` bytes of heap in all
/// (mallinfo(3), malloc_trim(3)).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the standard library has no call for it")]
pub(crate) fn trim_above(most: u64) {
    // SAFETY: neither call takes anything that could be wrong.
    unsafe {
        let heap = libc::mallinfo();
        let bytes = heap.uordblks + heap.fordblks + heap.hblkhd;
        if u64::try_from(bytes).is_ok_and(|bytes| bytes > most) {
            libc::malloc_trim(0);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep(_bounds: &Keep) {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn trim_above(_most: u64) {}
