//! What reading a prompt will cost, before it is read.
//!
//! Owns the work that a prompt amounts to and its expected times. The rates are measured below, in
//! `runtime`, on first use; they are kept in a file for later runs and corrected by every reading.

mod kept;

pub(super) use kept::KeptRates;

use super::{
    Reading, Session,
    history::{ImageId, Slot, common_prefix, slots},
};
use crate::{
    Result,
    chat::Prompt,
    preprocess::Patches,
    runtime::{RatePart, Rates, calibrate},
};
use std::time::Duration;

/// Least work that says something about rates: a shorter reading is mostly noise.
const TELLING: Duration = Duration::from_millis(500);

/// What reading a prompt will take.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Tokens known from before.
    pub n_known: usize,
    /// Tokens to be read.
    pub n_tokens: usize,
    /// The pictures among them.
    pub pictures: Vec<PictureWork>,
    /// Expected time in the vision tower.
    pub encode_time: Duration,
    /// Expected time in the decoder.
    pub prefill_time: Duration,
    rates: Rates,
}

/// A picture that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureWork {
    /// Its grid.
    pub grid: Patches,
    /// Whether it is to be encoded first: its embedding is not known.
    pub encode: bool,
}

impl Estimate {
    /// What reading `n_tokens` after `n_known`, with `pictures` among them, takes at `rates`.
    pub fn new(n_known: usize, n_tokens: usize, pictures: Vec<PictureWork>, rates: Rates) -> Self {
        let encoded = pictures.iter().filter(|picture| picture.encode);
        Self {
            encode_time: encoded.map(|p| rates.encode(p.grid.n_patches())).sum(),
            prefill_time: rates.read(n_known, n_tokens),
            n_known,
            n_tokens,
            pictures,
            rates,
        }
    }

    /// All of it.
    pub fn time(&self) -> Duration {
        self.encode_time.saturating_add(self.prefill_time)
    }

    /// Tokens of the pictures.
    pub fn n_image_tokens(&self) -> usize {
        self.pictures.iter().map(|p| p.grid.n_tokens()).sum()
    }

    /// About the time that it would take if no picture had more than `max_image_tokens`. Pictures
    /// that become smaller have to be encoded again.
    pub fn time_within(&self, max_image_tokens: usize) -> Duration {
        let mut encode = Duration::ZERO;
        let mut n_saved = 0;
        for picture in &self.pictures {
            let n = picture.grid.n_tokens();
            let patches = picture.grid.n_patches();
            if n > max_image_tokens {
                n_saved += n - max_image_tokens;
                encode += self.rates.encode(patches * max_image_tokens / n);
            } else if picture.encode {
                encode += self.rates.encode(patches);
            }
        }
        let n_tokens = self.n_tokens.saturating_sub(n_saved);
        encode.saturating_add(self.rates.read(self.n_known, n_tokens))
    }
}

impl Session {
    /// What [`read`](Self::read) of `prompt` would take now. What is known from before costs
    /// nothing, as there.
    ///
    /// The first call on a machine measures for about a second, unless rates were
    /// [set](Self::set_rates) or an earlier run has left them in the folder of
    /// [`image_cache_dir`](super::SessionOptions::image_cache_dir). `None` if parts of the model are
    /// on other devices, which are not measured. Errors if the prompt is not one
    /// of this model, or if measuring fails.
    pub fn estimate(&mut self, prompt: &Prompt) -> Result<Option<Estimate>> {
        let (wanted, ids) = slots(prompt, &self.model.config().vision)?;
        let n_known = common_prefix(&self.history, &wanted).min(wanted.len().saturating_sub(1));
        let mut pictures = Vec::new();
        let mut encoded: Vec<ImageId> = Vec::new();
        for (&id, image) in ids.iter().zip(&prompt.images) {
            let is_of_it = |slot: &Slot| matches!(slot, Slot::Patch { image, .. } if *image == id);
            if !wanted[n_known..].iter().any(is_of_it) {
                continue;
            }
            let encode = !encoded.contains(&id) && self.images.get(id, image.grid).is_none();
            encoded.push(id);
            pictures.push(PictureWork {
                grid: image.grid,
                encode,
            });
        }
        let n_tokens = wanted.len() - n_known;
        let rates = self.rates()?;
        Ok(rates.map(|rates| Estimate::new(n_known, n_tokens, pictures, rates)))
    }

    /// The rates of this model on this machine, measured if they are not known; `None` if parts of
    /// the model are on other devices, which are not measured.
    pub fn rates(&mut self) -> Result<Option<Rates>> {
        if !self.plan().is_cpu_only() {
            return Ok(None);
        }
        if let Some(rates) = self.known_rates() {
            return Ok(Some(rates));
        }
        let rates = calibrate(
            &self.model,
            self.options.kv_type,
            self.decoder_options.n_threads,
        )?;
        self.set_rates(rates);
        Ok(Some(rates))
    }

    /// Makes `rates` be believed until readings correct them, and keeps them for later runs.
    pub fn set_rates(&mut self, rates: Rates) {
        self.rates = Some(rates);
        if let Some(kept) = &self.kept_rates {
            kept.store(&rates);
        }
    }

    fn known_rates(&mut self) -> Option<Rates> {
        if self.rates.is_none() {
            self.rates = self.kept_rates.as_ref().and_then(KeptRates::load);
        }
        self.rates
    }

    /// Learns from a reading in which pictures of `n_patches` each were encoded.
    pub(super) fn learn(&mut self, reading: &Reading, n_patches: &[usize]) {
        if !self.plan().is_cpu_only() {
            return;
        }
        let Some(before) = self.known_rates() else {
            return;
        };
        let encode: Duration = n_patches.iter().map(|&n| before.encode(n)).sum();
        let n_new = reading.n_tokens - reading.n_reused;
        let read = before.read(reading.n_reused, n_new);
        let mut rates = before;
        if reading.encode_time >= TELLING {
            rates = rates.corrected(encode, reading.encode_time, RatePart::Encode);
        }
        if reading.prefill_time >= TELLING && n_new >= self.options.n_ubatch.min(64) {
            rates = rates.corrected(read, reading.prefill_time, RatePart::Read);
        }
        if rates != before {
            self.set_rates(rates);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates {
        patch: 0.01,
        patch_pair: 0.0,
        token: 0.04,
        token_pair: 0.0,
    };

    fn picture(rows: u32, cols: u32, encode: bool) -> PictureWork {
        PictureWork {
            grid: Patches { rows, cols },
            encode,
        }
    }

    #[test]
    fn only_what_is_not_known_costs_time() {
        let pictures = vec![picture(10, 10, true), picture(10, 10, false)];
        let estimate = Estimate::new(500, 250, pictures, RATES);
        assert_eq!(estimate.encode_time, Duration::from_secs(1));
        assert_eq!(estimate.prefill_time, Duration::from_secs(10));
        assert_eq!(estimate.time(), Duration::from_secs(11));
        assert_eq!(estimate.n_image_tokens(), 220);
    }

    #[test]
    fn a_budget_makes_large_pictures_smaller_and_leaves_others_alone() {
        // 10·(9 + 1) = 100 tokens of 90 patches, and 20 tokens of 10 patches.
        let pictures = vec![picture(10, 9, true), picture(10, 1, true)];
        let estimate = Estimate::new(0, 150, pictures, RATES);
        assert_eq!(estimate.time(), Duration::from_secs(7));
        assert_eq!(estimate.time_within(100), estimate.time());
        // 45 + 10 patches, 100 tokens.
        assert_eq!(estimate.time_within(50), Duration::from_millis(4550));
    }

    #[test]
    fn a_known_picture_that_becomes_smaller_is_encoded_again() {
        let estimate = Estimate::new(0, 100, vec![picture(10, 9, false)], RATES);
        assert_eq!(estimate.time(), Duration::from_secs(4));
        assert_eq!(estimate.time_within(50), Duration::from_millis(2450));
    }
}
