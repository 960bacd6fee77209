//! Times of repeated work.

use pixtral::Result;
use pixtral_terminal::units;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Times of several runs of the same work.
pub struct Timing {
    runs: Vec<Duration>,
}

impl Timing {
    /// Runs `work` once uncounted, then `repetitions` times.
    pub fn measure(repetitions: u32, mut work: impl FnMut() -> Result<()>) -> Result<Self> {
        work()?;
        let mut runs = Vec::new();
        for _ in 0..repetitions {
            let started = Instant::now();
            work()?;
            runs.push(started.elapsed());
        }
        Ok(Self::of(runs))
    }

    /// Of `runs`, at least one.
    pub fn of(mut runs: Vec<Duration>) -> Self {
        runs.sort();
        Self { runs }
    }

    /// The middle one.
    pub fn median(&self) -> Duration {
        self.runs[self.runs.len() / 2]
    }

    /// The shortest and the longest.
    pub fn spread(&self) -> String {
        let (min, max) = (self.runs[0], self.runs[self.runs.len() - 1]);
        format!("{} … {}", units::duration(min), units::duration(max))
    }

    /// All of them, in seconds.
    pub fn to_json(&self) -> Value {
        let seconds: Vec<f64> = self.runs.iter().map(Duration::as_secs_f64).collect();
        json!({"median_s": self.median().as_secs_f64(), "runs_s": seconds})
    }
}
