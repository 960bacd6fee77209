//! The trained demonstration model, judged by its answers: several pictures, several turns, a cached
//! beginning against a fresh one, batches of any size, drafts, quantised weights and caches, restarts,
//! constraints, several answers at once.

mod answers;
mod batch;
mod constraints;
mod drafts;
mod restarts;
mod same;
mod schemas;
mod support;
