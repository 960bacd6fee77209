//! The program as a person or a script meets it: answers, tables, JSON, messages, exit codes,
//! Ctrl-C. The model is the golden checkpoint of random weights: its answers are nonsense, the way
//! to them is not.

mod bad_input;
mod chat;
mod constraint;
mod cost;
mod demo;
mod describe;
mod eval;
mod interrupt;
mod load;
mod looking;
mod offload;
mod output;
mod restarts;
mod serve;
mod support;
