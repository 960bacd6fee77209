//! `/v1/chat/completions`.

use crate::{
    answer::{Answers, Kind, Shape},
    body::JsonBody,
    error::Result,
    ids,
    keys::Client,
    log::Note,
    request::{chat::Chat, sampling::choice},
    state::{Shared, now},
};
use axum::{Extension, extract::State, response::Response};

pub(super) async fn complete(
    State(state): State<Shared>,
    Extension(client): Extension<Client>,
    Extension(note): Extension<Note>,
    JsonBody(request): JsonBody,
) -> Result<Response> {
    let chat = Chat::read(&state, request).await?;
    let jobs = (0..chat.delivery.n)
        .map(|i| state.submit(client, chat.prompt.clone(), choice(&chat.options, i)))
        .collect::<Result<_>>()?;
    let answers = Answers {
        jobs,
        shape: Shape {
            kind: Kind::Chat,
            id: ids::random("chatcmpl-"),
            created: now(),
            model: state.options.model_name.clone(),
            tokenizer: state.model.tokenizer().clone(),
            tool_calls_id: state.template.tool_calls_id(),
            logprobs: chat.logprobs,
        },
        meaning: chat.meaning,
        note,
        place: chat.place,
    };
    answers.send(chat.delivery).await
}
