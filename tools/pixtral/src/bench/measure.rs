//! The work that is measured: the vision tower on pictures of given sizes, the decoder reading and
//! generating.

use super::{BenchArgs, timing::Timing};
use pixtral::{
    Error, ErrorKind, Result,
    ggml::CancelFlag,
    preprocess::{PreparedImage, PreprocessOptions, Preprocessor},
    runtime::{Decoder, DecoderOptions, Model, Outputs, PlacedModel, Run, VisionEncoder},
    tokenizer::TokenId,
};
use std::sync::Arc;

/// A picture of `width` × `height` pixels, prepared as one from a file would be.
pub fn picture(model: &Model, width: u32, height: u32) -> Result<PreparedImage> {
    let n = 3 * width as usize * height as usize;
    // The work does not depend on what the picture shows.
    let rgb: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
    Preprocessor::new(&model.config().vision, PreprocessOptions::default())
        .prepare_rgb(width, height, &rgb)
}

/// How the decoder that is measured is set up.
pub fn decoder_options(args: &BenchArgs, model: &Model) -> DecoderOptions {
    let mut options = args.decoder.session().decoder(model);
    if args.decoder.n_ctx().is_none() {
        options.n_ctx = (args.n_before() + args.generate) as usize;
    }
    options
}

/// Times encoding as many times `image` together as is asked for, where `model` has its vision tower.
pub fn time_encode(
    args: &BenchArgs,
    model: &Arc<PlacedModel>,
    image: &PreparedImage,
) -> Result<Timing> {
    let n_threads = args.decoder.n_threads(model.model());
    let mut encoder = VisionEncoder::of(model.clone(), n_threads, CancelFlag::default())?;
    let images = vec![image; args.pictures as usize];
    Timing::measure(args.repetitions, || {
        encoder.encode_together(&images, &mut |_, _| ()).map(drop)
    })
}

/// What the decoder took.
pub struct DecoderTimes {
    /// Reading the prompt.
    pub prefill: Timing,
    /// Generating after it.
    pub decode: Timing,
    /// Parts of the weights read from the file for each run, and parts in all, if memory is short.
    pub streamed: Option<(usize, usize)>,
}

/// Times reading the prompt with `decoder`, and generating after it.
pub fn time_decoder(args: &BenchArgs, decoder: &mut Decoder) -> Result<DecoderTimes> {
    let (n_prompt, n_generate) = (args.prompt as usize, args.generate as usize);
    let n_before = args.n_before() as usize;
    let n_ubatch = args.decoder.session().n_ubatch;
    let model = decoder.placed_model().model().clone();
    let vocab = model.config().text.vocab_size;
    // Ordinary ids spread over the vocabulary, so that embedding rows are not all the same one.
    let ids: Vec<TokenId> = (0..args.prompt.max(args.generate))
        .map(|i| i.wrapping_mul(7919) % vocab)
        .collect();
    let mut logits = Vec::new();
    let prefill = Timing::measure(args.repetitions, || {
        decoder.truncate(0);
        let mut chunks = ids[..n_prompt].chunks(n_ubatch).peekable();
        while let Some(ids) = chunks.next() {
            let outputs = if chunks.peek().is_none() {
                Outputs::Last
            } else {
                Outputs::None
            };
            decoder.append(
                &Run {
                    ids,
                    image_rows: &[],
                },
                outputs,
                &mut logits,
            )?;
        }
        Ok(())
    })?;
    if n_before > n_prompt {
        lengthen(
            decoder,
            n_before,
            2 * model.config().text.block_count as usize,
        )?;
    }
    let decode = Timing::measure(args.repetitions, || {
        decoder.truncate(n_before);
        for id in &ids[..n_generate] {
            let run = Run {
                ids: std::slice::from_ref(id),
                image_rows: &[],
            };
            decoder.append(&run, Outputs::Last, &mut logits)?;
        }
        Ok(())
    })?;
    Ok(DecoderTimes {
        prefill,
        decode,
        streamed: decoder.streamed_parts(),
    })
}

/// Makes the sequence `n_tokens` long by repeating its keys and values, which are `n_parts` arrays.
/// What they are does not matter for the speed of what follows.
fn lengthen(decoder: &mut Decoder, n_tokens: usize, n_parts: usize) -> Result<()> {
    if n_tokens >= decoder.n_ctx() {
        return Err(Error::new(
            ErrorKind::ContextFull,
            format!(
                "--after {n_tokens} leaves no room in the context of {} tokens; use a larger --ctx",
                decoder.n_ctx()
            ),
        ));
    }
    let mut known = Vec::new();
    decoder.export_cache(decoder.len(), &mut |bytes| {
        known.extend_from_slice(bytes);
        Ok(())
    })?;
    let part = known.len() / n_parts;
    let longer = part / decoder.len() * n_tokens;
    let repeated: Vec<u8> = known
        .chunks_exact(part)
        .flat_map(|part| part.iter().copied().cycle().take(longer))
        .collect();
    decoder.import_cache(n_tokens, &repeated)
}

/// Bytes that generating one token reads: weights, and the keys and values of the tokens before it.
pub fn bytes_per_token(args: &BenchArgs, model: &Model) -> u64 {
    let text = &model.config().text;
    let before = u64::from(args.n_before()) + u64::from(args.generate) / 2;
    model.bytes_per_token() + before * args.decoder.kv_type().bytes_per_token(text)
}
