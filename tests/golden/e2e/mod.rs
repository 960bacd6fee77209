//! The whole road, from the golden checkpoint's weights to logits and greedy answers.

pub mod case;
mod chunking;
mod model;
mod parity;
mod quantised;
mod runs;
mod sessions;
