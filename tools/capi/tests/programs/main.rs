//! The installed library as C and C++ programs use it: the examples, programs that try everything, and
//! the same under sanitizers and valgrind. Needs the C and C++ compilers that building ggml needs.

#![cfg(target_os = "linux")]

mod examples;
mod installed;
mod programs;
mod support;
