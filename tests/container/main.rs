//! The container under honest and hostile use: what is written is read back, and damage of any kind
//! is an error or an equal reading, never a panic or a wrong one.

mod damage;
mod headers;
mod round_trip;
mod support;
mod writing;
