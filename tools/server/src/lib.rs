//! `pixtral serve`: OpenAI's API over HTTP for several users at once, and a page for people.
//!
//! A request goes through these: it is admitted or refused (`state`), read and prepared (`request`,
//! `pictures`), and its answers are jobs in a queue in which clients take turns (`queue`). One thread
//! (`engine`) computes all running jobs as one batch and reports what comes, which `answer` turns into
//! JSON or a stream of events. Whoever stops listening, by closing the connection, abandons his jobs,
//! wherever they are.
//!
//! It knows the library and HTTP, and nothing of the command line.

mod answer;
mod body;
mod engine;
mod error;
mod ids;
mod keys;
mod log;
mod metrics;
mod options;
mod pictures;
mod queue;
mod request;
mod routes;
mod server;
mod state;
mod whole;

pub use options::{FetchOptions, ServerOptions};
pub use server::Server;
