//! How memory is mapped and fetched.

use crate::simd::lanes::prefetch;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks the system to back `memory` with large pages where it can, before it is first written: megabytes of weights are
/// read in every step, and with 4 KiB pages the processor is busy looking their addresses up.
pub fn prefer_large_pages(memory: &mut [f32]) {
    // Miri knows no such call.
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        const PAGE: usize = 4096;
        /// `MADV_HUGEPAGE` of Linux.
        const LARGE_PAGES: std::ffi::c_int = 14;
        unsafe extern "C" {
            fn madvise(start: *mut std::ffi::c_void, length: usize, advice: std::ffi::c_int) -> std::ffi::c_int;
        }
        let range = memory.as_mut_ptr_range();
        let (start, end) = (range.start.addr().next_multiple_of(PAGE), range.end.addr() / PAGE * PAGE);
        if start < end {
            // SAFETY: whole pages of a slice that is borrowed mutably; the advice changes nothing but their size. Where
            // it is not taken, everything works as well.
            unsafe { madvise(range.start.with_addr(start).cast(), end - start, LARGE_PAGES) };
        }
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = memory;
}

/// Asks for `bytes`, which will be read soon, to be brought into the cache.
pub fn fetch(bytes: &[u8]) {
    for line in bytes.chunks(LINE) {
        prefetch(line.as_ptr().cast());
    }
    if let Some(last) = bytes.last() {
        prefetch(std::ptr::from_ref(last).cast());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_its_contents() {
        for len in [0, 1, 5000, if cfg!(miri) { 9000 } else { 3 << 20 }] {
            let mut memory = vec![0.0; len];
            prefer_large_pages(&mut memory);
            assert!(memory.iter().all(|v| *v == 0.0));
            memory.fill(1.0);
            prefer_large_pages(&mut memory);
            assert!(memory.iter().all(|v| *v == 1.0));
        }
    }
}
