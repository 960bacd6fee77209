//! Progress of long work on standard error; silent where that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use pixtral::session::Event;
use std::time::Duration;

/// A progress line for reading a prompt: pictures first, then tokens.
pub struct ReadingProgress {
    bar: ProgressBar,
}

impl ReadingProgress {
    /// A line that is not shown yet.
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        bar.set_style(style("{spinner} {msg} {bar:30} {pos}/{len} {eta}"));
        Self { bar }
    }

    /// Shows what `event` says; the first piece of text takes the line away.
    pub fn show(&self, event: &Event) {
        match *event {
            Event::Encoding { image, n_images, layer, n_layers } => {
                self.bar.set_message(match n_images {
                    1 => "looking at the picture, layer".to_owned(),
                    _ => format!("looking at picture {} of {n_images}, layer", image + 1),
                });
                self.bar.set_length(n_layers as u64);
                self.bar.set_position(layer as u64);
            }
            Event::Reading { done, total } => {
                self.bar.set_message("reading, token");
                self.bar.set_length(total as u64);
                self.bar.set_position(done as u64);
                if done == total {
                    self.clear();
                }
            }
            _ => self.clear(),
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar over `n_bytes` bytes of work called `what`.
pub fn bytes_bar(what: &str, n_bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(n_bytes).with_message(what.to_owned());
    bar.set_style(style("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}"));
    bar
}

/// A spinner for work called `what` whose length is not known.
pub fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
