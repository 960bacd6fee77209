//! Bars and spinners for long work, on standard error; silent where that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar over bytes with their rate and the time left, shown from the first [`at`](Self::at) until
/// it is dropped.
#[derive(Default)]
pub struct ByteProgress {
    bar: Option<ProgressBar>,
}

impl ByteProgress {
    /// Shows that `done` of `total` bytes are through and that `what` is in turn.
    pub fn at(&mut self, done: u64, total: u64, what: &str) {
        let bar = self.bar.get_or_insert_with(|| {
            let template = "{bar:20} {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}";
            // What an earlier run has done must not count as fast.
            let bar = bar(template, total).with_position(done);
            bar.reset_eta();
            bar
        });
        bar.set_position(done);
        bar.set_message(what.to_owned());
    }
}

impl Drop for ByteProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A bar of `length` steps drawn by `template` (indicatif's language).
pub fn bar(template: &str, length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// A spinner for work called `what` whose length is not known.
pub fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
