//! How fast this machine reads its memory, which is how fast it generates.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

/// Bytes that each thread reads: far more than a share of any cache.
const BYTES_PER_THREAD: usize = 128 << 20;

/// Passes over them, of which the fastest counts: other work only makes one slower.
const PASSES: usize = 5;

/// Bytes a second that `n_threads` threads read together, in some tenths of a second.
pub fn memory_bandwidth(n_threads: usize) -> f64 {
    let n_threads = n_threads.max(1);
    // Written before they are read: untouched memory is one page of zeros.
    let mut memory = vec![1u64; n_threads * BYTES_PER_THREAD / size_of::<u64>()];
    memory[0] = 2;
    let per_thread = memory.len() / n_threads;
    let fastest = (0..PASSES)
        .map(|_| pass(&memory, per_thread))
        .min()
        .unwrap_or_default();
    size_of_val(memory.as_slice()) as f64 / fastest.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Reads `memory` once, a piece of `per_thread` words on each thread.
fn pass(memory: &[u64], per_thread: usize) -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for piece in memory.chunks(per_thread) {
            scope.spawn(move || {
                // Several sums side by side, so that additions do not wait for one another.
                let mut sums = [0u64; 32];
                for words in piece.chunks_exact(sums.len()) {
                    for (sum, word) in sums.iter_mut().zip(words) {
                        *sum = sum.wrapping_add(*word);
                    }
                }
                black_box(sums)
            });
        }
    });
    started.elapsed()
}
