//! Where the program runs.

use tenfold_nn::Isa;
use tenfold_study::record::Environment;

/// The machine, the program, and how many threads will compute.
pub(crate) fn environment(threads: Option<usize>) -> Environment {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(1024));
    Environment {
        cpu: cpu(),
        isa: Isa::detect().name().to_owned(),
        // Threads that wait for each other a hundred thousand times a second must all be running.
        threads: threads.map_or(cores, |threads| threads.min(cores)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("TENFOLD_COMMIT").to_owned(),
    }
}

/// The processor's name for itself, where the system tells.
fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// Bytes of memory that are free, where the system tells.
pub(crate) fn free_memory_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
