//! Layers on other machines: the program's workers, as processes of their own, and sessions that use
//! them. Wherever the parts of the model are, the numbers are those of the CPU alone.

mod commands;
mod loss;
mod parity;
mod worker;
