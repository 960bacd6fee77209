//! Running with less memory than the weights take: some parts of the mapped file stay, the others
//! are read shortly before they are used and dropped right after.
//!
//! Owns the thread that reads and drops, and its plan. It follows the decoder's progress and knows
//! ranges of a file, not what is in them.

mod plan;

use crate::gguf::{Advice, File};
use plan::{AHEAD, Plan};
use std::{
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// Bytes read between two looks at how far computing is.
const STEP: u64 = 16 << 20;

/// A part of the weights that is used at one time: its ranges of the file.
pub(super) type Part = Vec<Range<u64>>;

fn size(part: &Part) -> u64 {
    part.iter().map(|range| range.end - range.start).sum()
}

/// The least memory in which `parts` can be used one after the other.
pub(super) fn least_bytes(parts: &[Part]) -> u64 {
    plan::least(&parts.iter().map(size).collect::<Vec<_>>())
}

/// Keeps weights coming. Dropping it ends the thread.
pub(super) struct Pager {
    shared: Arc<Shared>,
    n_parts: u64,
    n_streamed: usize,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Parts are numbered on and on, from one round through the weights to the next.
#[derive(Default)]
struct State {
    /// Parts that computing is done with.
    passed: u64,
    /// Up to this number, kept parts are loaded too: they may not be in memory.
    load_kept_until: u64,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pager {
    /// Begins to page the `parts` of `file`, which are used in this order again and again, within
    /// `budget` bytes of memory; `None` if they fit, or if there can be no thread.
    pub(super) fn new(file: Arc<File>, parts: Vec<Part>, budget: u64) -> Option<Self> {
        let sizes: Vec<u64> = parts.iter().map(size).collect();
        let plan = Plan::new(&sizes, budget)?;
        let n_parts = parts.len() as u64;
        let n_streamed = plan.streamed.iter().filter(|s| **s).count();
        let shared = Arc::new(Shared::default());
        shared.lock().load_kept_until = n_parts;
        let reader = Reader {
            file,
            parts,
            plan,
            shared: shared.clone(),
            dropped: 0,
            next: 0,
        };
        let thread = thread::Builder::new()
            .name("pager".into())
            .spawn(|| reader.run())
            .ok()?;
        Some(Self {
            shared,
            n_parts,
            n_streamed,
            thread: Some(thread),
        })
    }

    /// How many parts are read for each use, and of how many.
    pub(super) fn streamed(&self) -> (usize, usize) {
        (self.n_streamed, self.n_parts as usize)
    }

    /// A round begins, at the first part: the last one may have been broken off.
    pub(super) fn begin(&self) {
        self.change(|state| state.passed = state.passed.next_multiple_of(self.n_parts));
    }

    /// The next part was used.
    pub(super) fn pass(&self) {
        self.change(|state| state.passed += 1);
    }

    /// Something else took memory meanwhile: what should be kept may have to be loaded again.
    pub(super) fn refresh(&self) {
        self.change(|state| state.load_kept_until = state.passed + 2 * self.n_parts);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.lock());
        self.shared.changed.notify_one();
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        self.change(|state| state.stop = true);
        if let Some(thread) = self.thread.take() {
            // A panic there has said so already.
            _ = thread.join();
        }
    }
}

/// The thread's side.
struct Reader {
    file: Arc<File>,
    parts: Vec<Part>,
    plan: Plan,
    shared: Arc<Shared>,
    /// Number of the first part that was not yet dropped.
    dropped: u64,
    /// Number of the part that is read next.
    next: u64,
}

impl Reader {
    fn run(mut self) {
        while let Some(load_kept) = self.wait() {
            let at = self.index(self.next);
            if self.plan.streamed[at] || load_kept {
                self.read(at);
            }
            self.next += 1;
        }
    }

    fn index(&self, number: u64) -> usize {
        (number % self.parts.len() as u64) as usize
    }

    /// Drops what was used and waits until the next part may be read; says whether it is to be
    /// loaded even if it should be there. `None` at the end.
    fn wait(&mut self) -> Option<bool> {
        loop {
            let passed = self.drop_passed()?;
            self.next = self.next.max(passed);
            let state = self.shared.lock();
            if state.passed != passed || state.stop {
                continue;
            }
            if self.may_read(self.next, passed) {
                return Some(self.next < state.load_kept_until);
            }
            drop(
                self.shared
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    /// Whether there is room for part `number` when `passed` are used.
    fn may_read(&self, number: u64, passed: u64) -> bool {
        let streamed = (passed..=number).filter(|&i| self.plan.streamed[self.index(i)]);
        number < passed + self.parts.len() as u64 && streamed.count() <= AHEAD
    }

    /// Gives the memory of streamed parts back that were used, and returns how many were; `None` at
    /// the end.
    fn drop_passed(&mut self) -> Option<u64> {
        let (passed, stop) = {
            let state = self.shared.lock();
            (state.passed, state.stop)
        };
        while self.dropped < passed {
            let at = self.index(self.dropped);
            if self.plan.streamed[at] {
                for range in &self.parts[at] {
                    self.file.advise(range.clone(), Advice::Evict);
                }
            }
            self.dropped += 1;
        }
        (!stop).then_some(passed)
    }

    fn read(&mut self, at: usize) {
        for range in self.parts[at].clone() {
            for start in range.clone().step_by(STEP as usize) {
                let end = range.end.min(start + STEP);
                self.file.advise(start..end, Advice::Populate);
                // Not after the whole part: what was used meanwhile takes the room for it.
                match self.drop_passed() {
                    Some(passed) if passed <= self.next => {}
                    // Computing was faster, and has touched it all.
                    _ => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        time::{Duration, Instant},
    };

    const PART: u64 = 1 << 20;

    /// A file in the shape of a container whose data section is 8 parts.
    fn parts() -> (tempfile::TempDir, Arc<File>, Vec<Part>) {
        use crate::gguf::{Metadata, Plan, PlannedTensor, TensorType, WriteOptions, Writer};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gguf");
        let tensors = (0..8).map(|i| PlannedTensor {
            name: format!("t{i}"),
            ty: TensorType::F32,
            dims: vec![PART / 4],
            align: 4096,
        });
        let plan = Plan::new(Metadata::default(), tensors.collect()).unwrap();
        let mut writer = Writer::create(&path, plan, WriteOptions::default()).unwrap();
        for i in 0..8 {
            writer.write(&vec![i; PART as usize]).unwrap();
        }
        writer.finish().unwrap();
        fs::File::open(&path).unwrap().sync_all().unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        let ranges = file.tensors().iter();
        let parts = ranges
            .map(|t| std::iter::once(t.offset..t.offset + t.n_bytes).collect())
            .collect();
        let all = 0..file.bytes().len() as u64;
        file.advise(all.clone(), Advice::Evict);
        // Parts are small here: the system must not read one ahead by itself.
        file.advise(all, Advice::Random);
        (folder, file, parts)
    }

    /// Bytes of each part in memory.
    fn cached(file: &File, parts: &[Part]) -> Vec<bool> {
        let bytes = |part: &Part| file.cached_bytes(part[0].clone()).unwrap();
        parts.iter().map(|part| bytes(part) >= PART / 2).collect()
    }

    /// Waits for the thread to bring about what is expected.
    #[track_caller]
    fn assert_becomes(file: &File, parts: &[Part], expected: &[bool]) {
        let started = Instant::now();
        while cached(file, parts) != expected {
            let found = cached(file, parts);
            assert!(started.elapsed() < Duration::from_secs(20), "{found:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn parts_are_read_before_their_use_and_dropped_after_it_but_for_those_that_stay() {
        let (_folder, file, parts) = parts();
        // Room for 6: 4 stay, every other one, and 4 are streamed by twos.
        let pager = Pager::new(file.clone(), parts.clone(), 6 * PART).unwrap();
        assert_eq!(pager.streamed(), (4, 8));
        let (o, x) = (false, true);
        pager.begin();
        assert_becomes(&file, &parts, &[x, x, x, x, x, o, o, o]);
        pager.pass();
        pager.pass();
        assert_becomes(&file, &parts, &[x, o, x, x, x, x, x, o]);
        for _ in 2..8 {
            pager.pass();
        }
        // The next round is prepared.
        assert_becomes(&file, &parts, &[x, x, x, x, x, o, x, o]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_round_that_was_broken_off_leaves_nothing_behind() {
        let (_folder, file, parts) = parts();
        let pager = Pager::new(file.clone(), parts.clone(), 2 * PART).unwrap();
        assert_eq!(pager.streamed(), (8, 8));
        let (o, x) = (false, true);
        pager.begin();
        for _ in 0..3 {
            pager.pass();
        }
        assert_becomes(&file, &parts, &[o, o, o, x, x, o, o, o]);
        pager.begin();
        assert_becomes(&file, &parts, &[x, x, o, o, o, o, o, o]);
    }

    #[test]
    fn parts_that_fit_need_no_pager() {
        let (_folder, file, parts) = parts();
        assert_eq!(least_bytes(&parts), 2 * PART);
        assert!(Pager::new(file, parts, 8 * PART).is_none());
    }
}
