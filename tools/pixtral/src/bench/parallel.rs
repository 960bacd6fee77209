//! Several answers at once: how fast they are generated together, and how long one waits for its next
//! token while another's picture is encoded and read.

use super::{BenchArgs, measure::picture, timing::Timing};
use pixtral::{
    Error, ErrorKind, Result,
    chat::Prompt,
    runtime::Model,
    session::{AnswerId, Batch, BatchEvent, BatchOptions, GenerateOptions, SessionOptions},
    tokenizer::TokenId,
};
use pixtral_terminal::units;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Most steps in which a picture is encoded, as far as the context is concerned.
const ENCODING_STEPS: usize = 100;

/// What was measured.
pub struct Parallel {
    /// Answers at once.
    pub n: usize,
    /// Generating the tokens of each.
    pub decode: Timing,
    /// Size of the picture that one more asks about.
    pub size: (u32, u32),
    /// Between two tokens of the others while it is encoded.
    pub beside_encoding: Timing,
    /// And while it is read.
    pub beside_reading: Timing,
}

impl Parallel {
    /// Measures `n` answers at once.
    pub fn measure(args: &BenchArgs, model: &Arc<Model>, n: usize) -> Result<Self> {
        let size = args.images[0];
        let shown = shown(model, size)?;
        let mut batch = Batch::new(model.clone(), options(args, n, shown.ids.len()))?;
        for i in 0..n {
            batch.begin(&prompt(args, model, i), &endless())?;
        }
        let mut n_read = 0;
        while n_read < n {
            n_read += step(&mut batch, |_, event| is_read(event))?.1;
        }
        let decode = Timing::measure(args.repetitions, || {
            (0..args.generate).try_for_each(|_| step(&mut batch, |_, _| false).map(drop))
        })?;
        let visitor = batch.begin(&shown, &endless())?;
        let mut times = [Vec::new(), Vec::new()];
        let mut is_encoded = false;
        while times[1].len() < args.generate as usize {
            let reads = |id: AnswerId, event: &BatchEvent| {
                id == visitor && matches!(event, BatchEvent::Reading { .. })
            };
            let (time, n_reads) = step(&mut batch, reads)?;
            is_encoded |= n_reads > 0;
            times[usize::from(is_encoded)].push(time);
        }
        let [encoding, reading] = times;
        Ok(Self {
            n,
            decode,
            size,
            beside_encoding: Timing::of(encoding),
            beside_reading: Timing::of(reading),
        })
    }

    /// Tokens per second of all answers together.
    pub fn rate(&self, args: &BenchArgs) -> f64 {
        units::rate(self.n * args.generate as usize, self.decode.median())
    }

    /// For programs.
    pub fn to_json(&self, args: &BenchArgs) -> Value {
        let (width, height) = self.size;
        json!({
            "answers": self.n,
            "tokens": args.generate,
            "tokens_per_s": self.rate(args),
            "time": self.decode.to_json(),
            "picture": {"width": width, "height": height},
            "beside_encoding": self.beside_encoding.to_json(),
            "beside_reading": self.beside_reading.to_json(),
        })
    }
}

/// A batch with room for `n` answers, and for one about a picture of `n_shown` tokens.
fn options(args: &BenchArgs, n: usize, n_shown: usize) -> BatchOptions {
    let runs = args.repetitions as usize + 2;
    let answer = runs * args.generate as usize + ENCODING_STEPS;
    let n_ctx = args.prompt as usize + answer;
    let session = args.decoder.session();
    BatchOptions {
        session: SessionOptions {
            n_ctx: session
                .n_ctx
                .or(Some(n_ctx.max(n_shown + args.generate as usize))),
            ..session
        },
        n_sequences: n + 1,
        ..BatchOptions::default()
    }
}

/// Prompt `i`: the same for all but for its end, so that they are read once.
fn prompt(args: &BenchArgs, model: &Model, i: usize) -> Prompt {
    let vocab = model.config().text.vocab_size;
    let n_special = model.tokenizer().special_count();
    let ordinary = |n: u32| n_special + n.wrapping_mul(7919) % (vocab - n_special);
    let mut ids: Vec<TokenId> = (1..args.prompt).map(ordinary).collect();
    ids.push(ordinary(args.prompt + i as u32));
    Prompt {
        ids,
        images: Vec::new(),
    }
}

/// A prompt of a picture of `size` and no text.
fn shown(model: &Model, (width, height): (u32, u32)) -> Result<Prompt> {
    let picture = picture(model, width, height)?;
    let n_patches = picture.grid.n_patches();
    let mut ids = vec![model.config().vision.image_token_id; n_patches];
    ids.push(model.tokenizer().eos());
    Ok(Prompt {
        ids,
        images: vec![Arc::new(picture)],
    })
}

/// An answer that goes on.
fn endless() -> GenerateOptions {
    GenerateOptions {
        ignore_eos: true,
        ..GenerateOptions::default()
    }
}

fn is_read(event: &BatchEvent) -> bool {
    matches!(event, BatchEvent::Reading { done, total } if done == total)
}

/// One step: its time, and how many events were `wanted`.
fn step(
    batch: &mut Batch,
    wanted: impl Fn(AnswerId, &BatchEvent) -> bool,
) -> Result<(Duration, usize)> {
    let (mut n, mut over) = (0, false);
    let started = Instant::now();
    batch.step(&mut |id, event| {
        n += usize::from(wanted(id, &event));
        over |= matches!(event, BatchEvent::Done(_) | BatchEvent::Failed(_));
    })?;
    match over {
        true => Err(Error::new(
            ErrorKind::ContextFull,
            "an answer has filled its context while it was measured: use a larger --ctx",
        )),
        false => Ok((started.elapsed(), n)),
    }
}
