//! Progress on standard error; silent where that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes with their rate and the time left, shown from the first [`at`](Self::at) on.
pub struct ByteProgress {
    bar: Option<ProgressBar>,
}

impl ByteProgress {
    /// Not shown yet.
    pub fn new() -> Self {
        Self { bar: None }
    }

    /// Shows that `done` of `total` bytes are through and that `what` is in turn.
    pub fn at(&mut self, done: u64, total: u64, what: &str) {
        let bar = self.bar.get_or_insert_with(|| start(done, total));
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

/// A bar that begins at `done`, so that work of an earlier run does not count as fast.
fn start(done: u64, total: u64) -> ProgressBar {
    const TEMPLATE: &str = "{bar:20} {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}";
    let bar = ProgressBar::new(total).with_position(done);
    bar.set_style(
        ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.reset_eta();
    bar
}
