//! Attention as it is defined, in f64, on what is left of keys and values after
//! they were stored.

use crate::compute::stored;
use crate::problem::Problem;

/// `[sequence][token][head][value_width]`
pub fn attention(problem: &Problem) -> Vec<f64> {
    let p = problem;
    let queries = p.queries();
    let keys = stored(p.storage, &p.keys());
    let values = stored(p.storage, &p.values());
    let mask = p.mask();
    let mut out = Vec::new();
    for i in 0..p.n_sequences * p.n_tokens * p.n_heads() {
        let (sequence, token) = (i / p.n_heads() / p.n_tokens, i / p.n_heads());
        let key_head = i % p.n_heads() / p.per_key_head;
        let cell = |key: usize| (sequence * p.n_keys + key) * p.n_key_heads + key_head;
        let query = &queries[i * p.key_width..][..p.key_width];
        let scores: Vec<f64> = (0..p.n_keys)
            .map(|key| {
                let row = &keys[cell(key) * p.key_width..][..p.key_width];
                let bias = mask
                    .as_ref()
                    .map_or(0.0, |mask| mask[token * p.n_keys + key].to_f64());
                f64::from(p.scale()) * dot(query, row) + bias
            })
            .collect();
        let peak = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut mixed = vec![0.0; p.value_width];
        let mut total = 0.0;
        // A token that sees nothing gets nothing.
        for (key, score) in scores.iter().enumerate().filter(|_| peak.is_finite()) {
            let weight = (score - peak).exp();
            total += weight;
            let row = &values[cell(key) * p.value_width..][..p.value_width];
            for (sum, value) in mixed.iter_mut().zip(row) {
                *sum += weight * f64::from(*value);
            }
        }
        out.extend(mixed.iter().map(|sum| sum / total.max(f64::MIN_POSITIVE)));
    }
    out
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    products.sum()
}

/// `‖found − expected‖ / ‖expected‖`; infinite if anything found is not a number.
pub fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    if found.iter().any(|x| !x.is_finite()) {
        return f64::INFINITY;
    }
    let differences = found.iter().zip(expected).map(|(f, e)| f64::from(*f) - e);
    let error: f64 = differences.map(|d| d * d).sum();
    let norm: f64 = expected.iter().map(|e| e * e).sum();
    (error / norm.max(f64::MIN_POSITIVE)).sqrt()
}
