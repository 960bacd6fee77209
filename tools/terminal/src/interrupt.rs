//! Ctrl-C: the first press asks the work in progress to stop, a second one ends the process.

use pixtral::ggml::CancelFlag;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// What a press of Ctrl-C reaches. Clones share it.
#[derive(Clone, Default)]
pub struct Interrupt {
    pressed: Arc<AtomicBool>,
    work: Arc<Mutex<Option<CancelFlag>>>,
}

impl Interrupt {
    /// Catches Ctrl-C, SIGTERM and their like from now on.
    pub fn install() -> Self {
        let interrupt = Self::default();
        let handler = interrupt.clone();
        // Without a handler Ctrl-C ends the process at once, which loses nothing.
        _ = ctrlc::set_handler(move || handler.press());
        interrupt
    }

    fn press(&self) {
        if self.pressed.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        match &*self.work.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(flag) => flag.cancel(),
            None => std::process::exit(130),
        }
    }

    /// Runs `work`, which stops when `flag` is set, so that a press stops it and not the process.
    /// Within `work` another call takes the presses until it ends.
    pub fn during<T>(&self, flag: CancelFlag, work: impl FnOnce() -> T) -> T {
        self.pressed.store(false, Ordering::Relaxed);
        let outer = self.replace(Some(flag));
        let result = work();
        self.replace(outer);
        self.pressed.store(false, Ordering::Relaxed);
        result
    }

    fn replace(&self, flag: Option<CancelFlag>) -> Option<CancelFlag> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut work, flag)
    }
}
