//! Loads a mapped file in the background, in the order in which a model uses it, so that computing
//! seldom waits for the disk and finds its pages mapped.

use crate::gguf::{Advice, File};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Bytes loaded between two looks at whether to go on.
const STEP: u64 = 16 << 20;

/// A file being loaded. Dropping it ends that.
pub(in crate::runtime) struct ReadAhead {
    stop: Arc<AtomicBool>,
    /// Until it was waited for.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ReadAhead {
    /// Begins to load `file`. Should no thread be had, pages are loaded as they are touched.
    pub(in crate::runtime) fn start(file: Arc<File>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let end = file.bytes().len() as u64;
        let stopped = stop.clone();
        let load = move || {
            let mut at = 0;
            while at < end && !stopped.load(Ordering::Relaxed) {
                file.advise(at..at + STEP, Advice::Populate);
                at += STEP;
            }
        };
        let thread = thread::Builder::new().name("read-ahead".into()).spawn(load);
        Self {
            stop,
            thread: Mutex::new(thread.ok()),
        }
    }

    /// Waits until the file is loaded, or that has been ended.
    pub(in crate::runtime) fn wait(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // One that has panicked has nothing more to say.
            _ = thread.join();
        }
    }

    /// Ends it: memory is needed for something else.
    pub(in crate::runtime) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.stop();
    }
}
