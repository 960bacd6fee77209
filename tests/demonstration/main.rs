//! The trained demonstration model, judged by its answers: several pictures, several turns, a cached
//! beginning against a fresh one, batches of any size, quantised weights and caches, restarts.

mod answers;
mod restarts;
mod same;
mod support;
