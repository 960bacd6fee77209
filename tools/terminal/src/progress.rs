//! Bars and spinners for long work, on standard error; silent where that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar over `n_bytes` bytes of work called `what`.
pub fn bytes_bar(what: &str, n_bytes: u64) -> ProgressBar {
    bar(
        "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        n_bytes,
    )
    .with_message(what.to_owned())
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
