//! Says what a long reading will take before it begins.

use pixtral::{
    Result,
    chat::Prompt,
    session::{Estimate, Session},
};
use pixtral_terminal::{noteln, units};
use std::time::Duration;

/// Shorter readings are not worth a word.
const LONG: Duration = Duration::from_secs(10);

/// Prompts with fewer new tokens are not estimated: measuring might take longer than reading them.
const FEWEST_TOKENS: usize = 256;

/// Budgets that are proposed, in tokens a picture.
const BUDGETS: [usize; 4] = [2048, 1024, 512, 256];

/// Says on standard error what reading `prompt` will cost, if it is much.
pub fn announce(session: &mut Session, prompt: &Prompt) -> Result<()> {
    if prompt.ids.len() < session.len() + FEWEST_TOKENS {
        return Ok(());
    }
    if let Some(line) = session.estimate(prompt)?.as_ref().and_then(line) {
        noteln!("{line}");
    }
    Ok(())
}

/// The announcement, if there is to be one: what it will take, and the largest budget of tokens
/// that makes it at least three times as fast.
fn line(estimate: &Estimate) -> Option<String> {
    let time = estimate.time();
    if time < LONG {
        return None;
    }
    let n_image = estimate.n_image_tokens();
    let what = match n_image {
        0 => format!("{} tokens to read", units::count(estimate.n_tokens)),
        n => format!("{} image tokens", units::count(n)),
    };
    let mut line = format!("{what}, about {}", units::about(time));
    let faster = BUDGETS
        .iter()
        .map(|&budget| (budget, estimate.time_within(budget)))
        .find(|(_, shorter)| *shorter <= time / 3);
    if let Some((budget, shorter)) = faster {
        line += &format!(
            "; --max-image-tokens {budget} takes about {}",
            units::about(shorter)
        );
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixtral::{preprocess::Patches, runtime::Rates, session::PictureWork};

    /// About what two cores reach with Pixtral-12B.
    const RATES: Rates = Rates {
        patch: 0.004,
        patch_pair: 1e-6,
        token: 0.04,
        token_pair: 1e-5,
    };

    fn said(n_tokens: usize, pictures: &[(u32, u32)]) -> Option<String> {
        let pictures = pictures.iter().map(|&(rows, cols)| PictureWork {
            grid: Patches { rows, cols },
            encode: true,
        });
        line(&Estimate::new(0, n_tokens, pictures.collect(), RATES))
    }

    #[test]
    fn a_large_picture_is_announced_with_a_way_to_make_it_smaller() {
        assert_eq!(
            said(4173, &[(64, 64)]).unwrap(),
            "4,160 image tokens, about 5 min; --max-image-tokens 1024 takes about 50 s"
        );
    }

    #[test]
    fn long_texts_are_announced_and_short_readings_are_not() {
        assert_eq!(said(1000, &[]).unwrap(), "1,000 tokens to read, about 45 s");
        assert_eq!(said(200, &[]), None);
        assert_eq!(said(120, &[(8, 8)]), None);
    }

    #[test]
    fn no_budget_is_proposed_that_helps_little() {
        // Mostly text.
        let line = said(4000, &[(16, 16)]).unwrap();
        assert!(!line.contains("--max-image-tokens"), "{line}");
    }
}
