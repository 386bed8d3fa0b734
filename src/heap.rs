//! Settings of the memory allocator (glibc `mallopt`). Other allocators keep their defaults.
//!
//! By default glibc returns freed memory to the kernel early. Getting pages back from the kernel
//! costs more than most steps of the work on a picture.

/// Settings in bytes (mallopt(3)).
pub(crate) struct MallocTuning {
    /// Size above which a block gets its own mapping, which is returned to the kernel when the
    /// block is freed.
    pub(crate) mmap_threshold: i32,
    /// Free memory at the end of the heap above which it is returned to the kernel.
    pub(crate) trim_threshold: i32,
    /// Memory that the heap grows by beyond what is needed.
    pub(crate) top_pad: i32,
}

impl MallocTuning {
    /// Applies the settings to all threads of this process.
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the standard library does not wrap mallopt(3)")]
    pub(crate) fn apply(&self) {
        for (parameter, bytes) in [
            (libc::M_MMAP_THRESHOLD, self.mmap_threshold),
            (libc::M_TRIM_THRESHOLD, self.trim_threshold),
            (libc::M_TOP_PAD, self.top_pad),
        ] {
            // SAFETY: the call takes integers only, and locks the allocator itself.
            unsafe { libc::mallopt(parameter, bytes) };
        }
    }

    /// Does nothing: the allocator of musl has no settings.
    #[cfg(not(target_env = "gnu"))]
    pub(crate) fn apply(&self) {}
}

/// Returns free memory between used blocks to the kernel if the heap is larger than `max_bytes`
/// (malloc_trim(3)).
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the standard library does not wrap these calls")]
pub(crate) fn trim_above(max_bytes: u64) {
    // SAFETY: neither call takes a pointer.
    unsafe {
        // `mallinfo2` would need glibc 2.33. A worker's heap is below the 2 GiB that `mallinfo` can
        // count.
        let heap = libc::mallinfo();
        // Used, free, and in mappings of their own.
        let bytes = heap.uordblks + heap.fordblks + heap.hblkhd;
        // Trimming visits the whole heap, so it is done only if it is necessary.
        if u64::try_from(bytes).is_ok_and(|bytes| bytes > max_bytes) {
            libc::malloc_trim(0);
        }
    }
}

/// Does nothing: the allocator of musl returns free memory by itself.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn trim_above(_max_bytes: u64) {}
