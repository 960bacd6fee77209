//! Progress of reading a prompt, on standard error; silent where that is not a terminal.

use indicatif::ProgressBar;
use pixtral::session::Event;
use pixtral_terminal::{noteln, progress};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// How often the line is drawn again: a batch of tokens can take many seconds, and what came in quick
/// succession is not all drawn.
const TICK: Duration = Duration::from_millis(100);

/// A progress line for reading a prompt: pictures first, then tokens.
pub struct ReadingProgress {
    bar: ProgressBar,
    /// Whether the line was shown, and is drawn every [`TICK`] since.
    ticks: AtomicBool,
}

impl ReadingProgress {
    /// A line that is not shown yet.
    pub fn new() -> Self {
        Self {
            bar: progress::bar("{spinner} {msg} {bar:30} {pos}/{len} {eta}", 0),
            ticks: AtomicBool::new(false),
        }
    }

    fn stand_at(&self, what: String, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(what);
        if !self.ticks.swap(true, Ordering::Relaxed) {
            self.bar.enable_steady_tick(TICK);
        }
    }

    /// Shows what `event` says; the first piece of text takes the line away.
    pub fn show(&self, event: &Event) {
        match *event {
            Event::Encoding {
                image,
                n_images,
                layer,
                n_layers,
            } => {
                let what = match n_images {
                    1 => "looking at the picture, layer".to_owned(),
                    _ => format!("looking at picture {} of {n_images}, layer", image + 1),
                };
                self.stand_at(what, layer as u64, n_layers as u64);
            }
            Event::Reading { done, total } if done == total => self.clear(),
            Event::Reading { done, total } => {
                self.stand_at("reading, token".to_owned(), done as u64, total as u64);
            }
            Event::Placing { done, total } => {
                let what = "moving weights to devices, byte".to_owned();
                self.stand_at(what, done, total);
            }
            Event::Note(note) => self.bar.suspend(|| noteln!("{note}")),
            _ => self.clear(),
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
