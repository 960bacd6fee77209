//! From what the engine reports to what clients read: whole answers, or events of a stream, of chats
//! and of completions.

mod choice;
mod shape;
mod stream;
mod whole;

pub(crate) use choice::Meaning;
pub(crate) use shape::{Kind, Shape};

use crate::{
    error::Result,
    log::Note,
    request::sampling::Delivery,
    state::{JobEvents, Place},
};
use axum::response::Response;

/// The answers of a request, in the making.
pub(crate) struct Answers {
    pub(crate) jobs: Vec<JobEvents>,
    pub(crate) shape: Shape,
    pub(crate) meaning: Meaning,
    pub(crate) note: Note,
    /// Given back when all is over.
    pub(crate) place: Place,
}

impl Answers {
    /// Sends them as `delivery` says.
    pub(crate) async fn send(self, delivery: Delivery) -> Result<Response> {
        match delivery.stream {
            true => Ok(stream::stream(self, delivery.include_usage)),
            false => whole::whole(self).await,
        }
    }
}
