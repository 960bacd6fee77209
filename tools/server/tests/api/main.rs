//! The server as a program on the other end of a connection meets it, with the demonstration model
//! behind it.

mod access;
mod chat;
mod completions;
mod leaving;
mod limits;
mod others;
mod refusals;
mod stream;
mod support;
mod tools;
