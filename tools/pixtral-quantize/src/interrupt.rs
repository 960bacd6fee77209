//! Ctrl-C: the first press asks the work to stop after the present tile, a second one ends the
//! process.

use std::ops::ControlFlow;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether a stop was asked for.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches Ctrl-C, SIGTERM and their like from now on.
    pub fn install() -> Self {
        let pressed = Arc::new(AtomicBool::new(false));
        let handler = pressed.clone();
        // Without a handler Ctrl-C ends the process at once; the unfinished file can be resumed
        // all the same.
        _ = ctrlc::set_handler(move || {
            if handler.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
        Self(pressed)
    }

    /// `Break` once a stop was asked for.
    pub fn check(&self) -> ControlFlow<()> {
        match self.0.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
