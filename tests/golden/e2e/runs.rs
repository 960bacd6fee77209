//! Ways to run a case through the library.

use pixtral::{
    chat::Prompt,
    ggml::CancelFlag,
    preprocess::PreparedImage,
    runtime::{
        Decoder, DecoderOptions, ImageEmbedding, ImageRow, KvType, Model, Outputs, Run,
        VisionEncoder,
    },
    session::{Session, SessionOptions},
};
use std::{ops::ControlFlow, sync::Arc};

/// Tests run side by side, so each computes with one thread.
const N_THREADS: usize = 1;

/// Nobody wants to hear of progress.
pub fn silent(_: pixtral::session::Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn encoder(model: &Arc<Model>) -> VisionEncoder {
    VisionEncoder::new(model.clone(), N_THREADS, CancelFlag::default()).unwrap()
}

/// What a prompt's pictures look like to an encoder.
fn images(prompt: &Prompt) -> Vec<&PreparedImage> {
    prompt.images.iter().map(|image| &**image).collect()
}

/// Embeddings of a prompt's pictures, computed as one batch.
pub fn embed(model: &Arc<Model>, prompt: &Prompt) -> Vec<ImageEmbedding> {
    let mut encoder = encoder(model);
    encoder
        .encode_together(&images(prompt), &mut |_, _| ())
        .unwrap()
}

/// The embedding of one picture.
pub fn embed_alone(model: &Arc<Model>, image: &PreparedImage) -> ImageEmbedding {
    encoder(model).encode(image, &mut |_, _| ()).unwrap()
}

/// Inner results of the vision tower, pictures one after another.
pub fn trace_vision(model: &Arc<Model>, prompt: &Prompt) -> Vec<(String, Vec<f32>)> {
    match images(prompt).as_slice() {
        [] => Vec::new(),
        images => encoder(model).trace(images).unwrap(),
    }
}

/// Logits of every position of the prompt, computed as one batch.
pub fn all_logits(model: &Arc<Model>, prompt: &Prompt, kv_type: KvType) -> Vec<f32> {
    let embeddings = embed(model, prompt);
    let rows = image_rows(model, prompt, &embeddings);
    let mut logits = Vec::new();
    let run = Run {
        ids: &prompt.ids,
        image_rows: &rows,
    };
    decoder(model, prompt.ids.len(), kv_type)
        .append(&run, Outputs::All, &mut logits)
        .unwrap();
    logits
}

/// Inner results of the decoder.
pub fn trace_decoder(model: &Arc<Model>, prompt: &Prompt) -> Vec<(String, Vec<f32>)> {
    let embeddings = embed(model, prompt);
    let rows = image_rows(model, prompt, &embeddings);
    let run = Run {
        ids: &prompt.ids,
        image_rows: &rows,
    };
    decoder(model, prompt.ids.len(), KvType::F32)
        .trace(&run)
        .unwrap()
}

/// A session for comparing with the reference.
pub fn session(model: &Arc<Model>, n_ubatch: usize, kv_type: KvType) -> Session {
    let options = SessionOptions {
        n_ubatch,
        kv_type,
        n_threads: Some(N_THREADS),
        n_ctx: Some(1024),
        ..Default::default()
    };
    Session::new(model.clone(), options).unwrap()
}

fn decoder(model: &Arc<Model>, n_ctx: usize, kv_type: KvType) -> Decoder {
    let options = DecoderOptions {
        n_ctx,
        n_ubatch: n_ctx,
        kv_type,
        n_threads: N_THREADS,
        reserve_bytes: 0,
        n_sequences: 1,
    };
    Decoder::new(model.clone(), &options, CancelFlag::default()).unwrap()
}

/// The rows of a prompt's image tokens.
pub fn image_rows<'a>(
    model: &Model,
    prompt: &Prompt,
    embeddings: &'a [ImageEmbedding],
) -> Vec<ImageRow<'a>> {
    let config = model.config();
    let dim = config.text.embedding_length as usize;
    let slots =
        (0..prompt.ids.len()).filter(|&slot| prompt.ids[slot] == config.vision.image_token_id);
    let values = embeddings.iter().flat_map(|e| e.values.chunks_exact(dim));
    slots
        .zip(values)
        .map(|(slot, values)| ImageRow { slot, values })
        .collect()
}
