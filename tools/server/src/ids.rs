//! Random identifiers.

use rand::{Rng, distr::Alphanumeric};

/// Length of a tool call's id, which the chat template demands.
pub(crate) const CALL_LENGTH: usize = 9;

fn letters(n: usize) -> String {
    let rng = rand::rng();
    rng.sample_iter(Alphanumeric)
        .take(n)
        .map(char::from)
        .collect()
}

/// `prefix` and enough random letters and digits to be unique.
pub(crate) fn random(prefix: &str) -> String {
    format!("{prefix}{}", letters(20))
}

/// The id of a tool call.
pub(crate) fn call() -> String {
    letters(CALL_LENGTH)
}
