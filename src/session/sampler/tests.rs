//! What sampling promises.

use super::*;
use std::collections::HashSet;

fn sampler(change: impl FnOnce(&mut SamplingOptions)) -> Sampler {
    let mut options = SamplingOptions {
        temperature: 1.0,
        seed: Some(7),
        ..Default::default()
    };
    change(&mut options);
    Sampler::new(options).unwrap()
}

fn drawn(mut sampler: Sampler, logits: &[f32]) -> HashSet<TokenId> {
    (0..2000).map(|_| sampler.sample(logits).unwrap()).collect()
}

#[test]
fn temperature_zero_takes_the_first_of_the_most_likely() {
    let mut greedy = sampler(|o| o.temperature = 0.0);
    assert_eq!(greedy.sample(&[0.0, 3.0, 3.0, 1.0]).unwrap(), 1);
}

#[test]
fn frequencies_follow_the_softmax() {
    let mut sampler = sampler(|_| ());
    let logits = [0.0, (3.0f32).ln()];
    let n = 20_000;
    let ones = (0..n)
        .filter(|_| sampler.sample(&logits).unwrap() == 1)
        .count();
    assert!(
        (ones as f64 / n as f64 - 0.75).abs() < 0.02,
        "{ones} of {n}"
    );
}

#[test]
fn a_lower_temperature_sharpens() {
    let mut sampler = sampler(|o| o.temperature = 0.5);
    let logits = [0.0, (3.0f32).ln()];
    let n = 20_000;
    let ones = (0..n)
        .filter(|_| sampler.sample(&logits).unwrap() == 1)
        .count();
    assert!((ones as f64 / n as f64 - 0.9).abs() < 0.02, "{ones} of {n}");
}

#[test]
fn filters_keep_what_they_say() {
    // Probabilities 0.5, 0.25, 0.125, 0.125.
    let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
    assert_eq!(
        drawn(sampler(|o| o.top_k = 2), &logits),
        HashSet::from([0, 1])
    );
    assert_eq!(drawn(sampler(|o| o.top_k = 1), &logits), HashSet::from([0]));
    assert_eq!(
        drawn(sampler(|o| o.top_p = 0.5), &logits),
        HashSet::from([0])
    );
    assert_eq!(
        drawn(sampler(|o| o.top_p = 0.6), &logits),
        HashSet::from([0, 1])
    );
    assert_eq!(
        drawn(sampler(|o| o.min_p = 0.4), &logits),
        HashSet::from([0, 1])
    );
    assert_eq!(drawn(sampler(|_| ()), &logits).len(), 4);
}

#[test]
fn the_nucleus_of_a_large_flat_vocabulary_is_exact() {
    let logits = vec![0.0; 10_000];
    let ids = drawn(sampler(|o| o.top_p = 0.01), &logits);
    assert!(ids.iter().all(|&id| id < 101) && ids.len() > 90);
}

#[test]
fn the_repeat_penalty_looks_back_only_so_far() {
    let mut sampler = sampler(|o| {
        o.temperature = 0.0;
        o.repeat_penalty = 2.0;
        o.repeat_last_n = 1;
    });
    let chosen: Vec<_> = (0..4)
        .map(|_| sampler.sample(&[1.0, 0.9, 0.1]).unwrap())
        .collect();
    assert_eq!(chosen, [0, 1, 0, 1]);
}

#[test]
fn the_presence_penalty_counts_once_and_the_frequency_penalty_each_time() {
    let chosen = |change: fn(&mut SamplingOptions)| -> Vec<TokenId> {
        let mut sampler = sampler(|o| {
            o.temperature = 0.0;
            change(o);
        });
        let logits = [1.0, 0.85, 0.0];
        (0..7).map(|_| sampler.sample(&logits).unwrap()).collect()
    };
    assert_eq!(chosen(|o| o.presence_penalty = 0.1), [0; 7]);
    assert_eq!(chosen(|o| o.presence_penalty = 0.5), [0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(chosen(|o| o.frequency_penalty = 0.1), [0, 0, 1, 0, 1, 0, 1]);
    // A reward, within what OpenAI's API allows.
    assert_eq!(chosen(|o| o.presence_penalty = -2.0), [0; 7]);
}

#[test]
fn a_bias_makes_tokens_certain_or_impossible() {
    let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
    let biased = |bias: &[(TokenId, f32)]| {
        let logit_bias = bias.to_vec();
        drawn(sampler(|o| o.logit_bias = logit_bias), &logits)
    };
    assert_eq!(biased(&[(2, 100.0)]), HashSet::from([2]));
    assert_eq!(biased(&[(3, -100.0), (0, -100.0)]), HashSet::from([1, 2]));
    // Those that are named twice add up, and those that do not exist change nothing.
    assert_eq!(
        biased(&[(1, 50.0), (9, 100.0), (1, -150.0)]),
        HashSet::from([0, 2, 3])
    );
}

#[test]
fn log_probabilities_are_those_of_the_model_alone() {
    let logits = [0.5f32, 0.25, 0.125, 0.125].map(|p| p.ln() + 3.0);
    let found = TokenLogprobs::new(&logits, 2, 3);
    assert_eq!(found.id, 2);
    assert!((found.logprob - 0.125f32.ln()).abs() < 1e-6, "{found:?}");
    let ids: Vec<TokenId> = found.top.iter().map(|t| t.0).collect();
    assert_eq!(ids, [0, 1, 2]);
    let total: f32 = found.top.iter().map(|t| t.1.exp()).sum();
    assert!((total - 0.875).abs() < 1e-6, "{found:?}");
    assert_eq!(TokenLogprobs::new(&logits, 0, 0).top, []);
    assert_eq!(TokenLogprobs::new(&logits, 0, 9).top.len(), 4);
    let impossible = TokenLogprobs::new(&[0.0, f32::NEG_INFINITY], 1, 0);
    assert_eq!(impossible.logprob, f32::NEG_INFINITY);
}

#[test]
fn the_same_seed_gives_the_same_tokens() {
    let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
    let run = |seed| -> Vec<TokenId> {
        let mut sampler = sampler(|o| o.seed = Some(seed));
        (0..50).map(|_| sampler.sample(&logits).unwrap()).collect()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// What verifying drafts relies on: a draft token is right if it is the one drawn.
#[test]
fn a_certain_draft_is_drawn_with_its_probability_and_else_the_rest_by_theirs() {
    let weights = [5.0f64, 1.0, 3.0, 7.0, 2.0, 0.1];
    let logits = weights.map(|w| w.ln() as f32);
    // The last token is filtered out.
    let kept = &weights[..5];
    let n = 20_000;
    for draft in 0..5u32 {
        let mut sampler = sampler(|o| {
            o.top_k = 5;
            o.seed = Some(u64::from(draft));
        });
        let mut drawn = [0usize; 5];
        for _ in 0..n {
            drawn[sampler.sample(&logits).unwrap() as usize] += 1;
        }
        let total: f64 = kept.iter().sum();
        let right = kept[draft as usize] / total;
        let found = drawn[draft as usize] as f64 / f64::from(n);
        let deviation = (right * (1.0 - right) / f64::from(n)).sqrt();
        assert!((found - right).abs() < 4.0 * deviation, "{found} {right}");

        let others = (0..5).filter(|&id| id != draft as usize);
        let n_rest = n as usize - drawn[draft as usize];
        let chi_square: f64 = others
            .map(|id| {
                let p = kept[id] / (total - kept[draft as usize]);
                let expected = p * n_rest as f64;
                (drawn[id] as f64 - expected).powi(2) / expected
            })
            .sum();
        // 3 degrees of freedom: above 21.1 once in 10,000.
        assert!(chi_square < 21.1, "draft {draft}: {chi_square}");
    }
}

#[test]
fn senseless_options_and_logits_are_refused() {
    for change in [
        (|o| o.temperature = -1.0) as fn(&mut SamplingOptions),
        |o| o.temperature = f32::NAN,
        |o| o.top_p = 0.0,
        |o| o.min_p = 1.5,
        |o| o.repeat_penalty = 0.0,
        |o| o.frequency_penalty = f32::INFINITY,
        |o| o.presence_penalty = f32::NAN,
        |o| o.logit_bias = vec![(1, f32::NEG_INFINITY)],
    ] {
        let mut options = SamplingOptions::default();
        change(&mut options);
        assert!(Sampler::new(options).is_err());
    }
    assert!(sampler(|_| ()).sample(&[f32::NAN]).is_err());
    assert!(sampler(|_| ()).sample(&[]).is_err());
}
