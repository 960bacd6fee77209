//! Answers in one piece.

use super::{Answers, choice::Choice};
use crate::{
    engine::JobEvent,
    error::{ApiError, Result},
    state::JobEvents,
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};

/// Waits for all answers. If the client goes away, so does the future of this, and with it they.
pub(super) async fn whole(answers: Answers) -> Result<Response> {
    let shape = &answers.shape;
    let mut choices = Vec::new();
    for job in answers.jobs {
        let mut choice = Choice::new(answers.meaning, shape.tool_calls_id);
        complete(job, &mut choice).await?;
        if let Some(answer) = &choice.answer {
            answers
                .note
                .tokens(answer.reading.n_tokens, answer.ids.len());
        }
        choices.push(choice);
    }
    Ok(Json(shape.whole(&choices)).into_response())
}

async fn complete(mut job: JobEvents, choice: &mut Choice) -> Result<()> {
    while let Some(event) = job.recv().await {
        match event {
            JobEvent::Encoding { .. } | JobEvent::Reading { .. } => {}
            JobEvent::Chosen(token) => choice.chosen(token),
            JobEvent::Text(text) => _ = choice.push(text),
            JobEvent::Done(answer) => {
                choice.end(answer);
                return Ok(());
            }
            JobEvent::Failed(e) => return Err(e.into()),
        }
    }
    Err(ApiError::stopping())
}
