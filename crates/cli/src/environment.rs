//! Where the program runs.

use tenfold_nn::Isa;
use tenfold_study::comparison::{ChosenBy, MARGIN};
use tenfold_study::record::Environment;
use tenfold_study::{ProcessorTime, Replace, Settings};

/// The machine, the program, and how many threads will compute.
pub(crate) fn environment(threads: Option<usize>) -> Environment {
    let cores = cores();
    Environment {
        host: host(),
        cpu: cpu(),
        isa: Isa::detect().name().to_owned(),
        // Threads that wait for each other a hundred thousand times a second must all be running.
        threads: threads.map_or(cores, |threads| threads.min(cores)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("TENFOLD_COMMIT").to_owned(),
    }
}

/// Settings of a study that is planned to be measured alone: of which nothing is written.
pub(crate) fn to_measure(environment: Environment) -> Settings {
    Settings {
        seeds: 1,
        only: Vec::new(),
        epochs: None,
        precision: None,
        environment,
        free_memory_bytes: free_memory_bytes(),
        published: false,
        place: None,
        reading: None,
        replace: Replace::Nothing,
        chosen_by: ChosenBy::Validation,
        margin: MARGIN,
    }
}

/// Threads that can run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(1024))
}

/// The processor's name for itself, where the system tells.
fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// This machine and process, for those who wonder who works on what.
pub(crate) fn holder() -> String {
    let host = host();
    let host = if host.is_empty() { "this machine" } else { &host };
    format!("{host}, process {}", std::process::id())
}

/// The machine's name for itself, where the system tells.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// Bytes of memory that are free, where the system tells.
pub(crate) fn free_memory_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Ticks a second in which Linux tells programs processor time, on every machine.
const TICKS: f64 = 100.0;

/// Processor time until now, where the system tells.
pub(crate) fn processor_time() -> Option<ProcessorTime> {
    let own = std::fs::read_to_string("/proc/self/stat").ok()?;
    let all = std::fs::read_to_string("/proc/stat").ok()?;
    Some(ProcessorTime { own_s: own_ticks(&own)? as f64 / TICKS, all_s: all_ticks(&all)? as f64 / TICKS })
}

/// User and system time, of the text of `/proc/self/stat`.
fn own_ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses, which may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    ticks()?.checked_add(ticks()?)
}

/// The time that all processors were not idle, of the text of `/proc/stat`.
fn all_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).take(8).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = fields[..] else { return None };
    let sum = [user, nice, system, irq, softirq, steal].into_iter().try_fold(0_u64, u64::checked_add)?;
    // Some sandboxes show zeros and mean that they do not tell.
    (sum > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_as_linux_writes_it() {
        let own = "4242 (a (b) c) R 1 4242 4242 0 -1 4194304 100 0 0 0 250 13 7 9 20 0 1 0 1827882 3133440 416\n";
        assert_eq!(own_ticks(own), Some(263));
        let all = "cpu  1000 200 30 99999 77 4 5 6 500 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(all_ticks(all), Some(1245), "guests are in user time already");
        for nonsense in ["", "cpu", "cpu  1 2 3\n", "cpu  0 0 0 0 0 0 0 0 0 0\n", "cpu  1 2 x 4 5 6 7 8\n"] {
            assert_eq!((own_ticks(nonsense), all_ticks(nonsense)), (None, None), "{nonsense:?}");
        }
        let largest = u64::MAX;
        assert_eq!(all_ticks(&format!("cpu  {largest} {largest} 0 0 0 0 0 0\n")), None);
        if cfg!(target_os = "linux")
            && let Some(time) = processor_time()
        {
            assert!(time.own_s <= time.all_s && processor_time().is_some_and(|later| later.own_s >= time.own_s));
        }
    }
}
