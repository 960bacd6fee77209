//! The whole road, from the golden checkpoint's weights to logits and greedy answers.

mod case;
mod chunking;
mod devices;
mod files;
mod model;
mod parity;
mod quantised;
mod runs;
mod sequences;
mod sessions;
mod speculation;
