//! Work on many pictures, shared by threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::progress::Watch;
use crate::{Progress, Stage};

/// The most threads that decode; each holds a picture.
const MOST_THREADS: usize = 8;

/// What `work` makes of each item, in order. `watch` is told by this thread, which works as the others do.
pub(super) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    stage: Stage,
    watch: &mut Watch,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS).min(items.len().max(1));
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let run = |watch: &mut dyn FnMut(usize)| {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(n) else { return done };
            done.push((n, work(item)));
            watch(finished.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| run(&mut |_| {}))).collect();
        let mut done = run(&mut |done| watch(Progress { stage, done, of: items.len() }));
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}
