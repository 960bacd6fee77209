//! One answer of a batch on its way: a prompt being read, then tokens being chosen.

use crate::{
    Result,
    chat::Prompt,
    preprocess::PreparedImage,
    runtime::{ImageEmbedding, ImageRow, Model, Outputs},
    session::{
        Answer, Finish, GenerateOptions, Reading, TokenLogprobs,
        choose::Chooser,
        history::{ImageId, Slot, slots},
        prefill::check_length,
        stop::StopMatcher,
    },
    tokenizer::{StreamDecoder, TokenId},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// An answer in the making.
pub(super) struct Task {
    /// The prompt, slot by slot.
    wanted: Vec<Slot>,
    ids: Vec<TokenId>,
    pictures: HashMap<ImageId, Arc<PreparedImage>>,
    /// Of the pictures that are needed next, while the prompt is read.
    embeddings: HashMap<ImageId, Arc<ImageEmbedding>>,
    /// Values of an image row.
    dim: usize,
    chooser: Chooser,
    eos: Option<TokenId>,
    decoder: StreamDecoder,
    stops: StopMatcher,
    max_tokens: usize,
    reading: Reading,
    began: Instant,
    answer: Vec<TokenId>,
    text: String,
}

/// What a task wants computed next.
pub(super) struct Next<'a> {
    pub(super) ids: Vec<TokenId>,
    pub(super) image_rows: Vec<ImageRow<'a>>,
    pub(super) outputs: Outputs,
}

impl Task {
    /// The answer to `prompt` in a sequence of at most `n_ctx` tokens.
    pub(super) fn new(
        model: &Model,
        prompt: &Prompt,
        options: &GenerateOptions,
        n_ctx: usize,
    ) -> Result<Self> {
        let config = model.config();
        let (wanted, image_ids) = slots(prompt, &config.vision)?;
        check_length(wanted.len(), n_ctx, config.text.context_length)?;
        let tokenizer = model.tokenizer();
        Ok(Self {
            pictures: image_ids
                .into_iter()
                .zip(prompt.images.iter().cloned())
                .collect(),
            embeddings: HashMap::new(),
            dim: config.text.embedding_length as usize,
            chooser: Chooser::new(options, tokenizer)?,
            eos: Some(tokenizer.eos()).filter(|_| !options.ignore_eos),
            decoder: StreamDecoder::new(tokenizer),
            stops: StopMatcher::new(options.stop.clone()),
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            reading: Reading {
                n_tokens: wanted.len(),
                n_images: prompt.images.len(),
                ..Reading::default()
            },
            began: Instant::now(),
            answer: Vec::new(),
            text: String::new(),
            ids: prompt.ids.clone(),
            wanted,
        })
    }

    /// The prompt.
    pub(super) fn wanted(&self) -> &[Slot] {
        &self.wanted
    }

    /// Most tokens of the prompt that need not be computed: the last one is, since its logits are
    /// wanted.
    pub(super) fn most_known(&self) -> usize {
        self.wanted.len() - 1
    }

    /// Takes note that `n` more tokens of the prompt need not be computed.
    pub(super) fn reuse(&mut self, n: usize) {
        self.reading.n_reused += n;
    }

    /// Whether the prompt, of which the sequence holds `len` tokens, is still being read.
    pub(super) fn is_reading(&self, len: usize) -> bool {
        len < self.wanted.len()
    }

    /// Tokens from `len` on that can be read: up to the first patch whose picture's embedding is
    /// missing.
    pub(super) fn n_readable(&self, len: usize) -> usize {
        let rest = self.wanted.iter().skip(len);
        rest.take_while(|slot| !self.lacks(slot)).count()
    }

    /// Whether there is one.
    pub(super) fn can_read(&self, len: usize) -> bool {
        self.wanted.get(len).is_some_and(|slot| !self.lacks(slot))
    }

    fn lacks(&self, slot: &Slot) -> bool {
        matches!(slot, Slot::Patch { image, .. } if !self.embeddings.contains_key(image))
    }

    /// The first picture from token `len` of the prompt on whose embedding is missing.
    pub(super) fn missing(&self, len: usize) -> Option<(ImageId, Arc<PreparedImage>)> {
        let mut rest = self.wanted.iter().skip(len);
        match rest.find(|slot| self.lacks(slot)) {
            Some(Slot::Patch { image, .. }) => Some((*image, self.pictures.get(image)?.clone())),
            _ => None,
        }
    }

    /// Whether the picture `image` comes after token `len` of the prompt and its embedding is missing.
    pub(super) fn awaits(&self, image: ImageId, len: usize) -> bool {
        let of_it =
            |slot: &Slot| matches!(slot, Slot::Patch { image: other, .. } if *other == image);
        !self.embeddings.contains_key(&image) && self.wanted.iter().skip(len).any(of_it)
    }

    /// Gives it the embedding of the picture `image`.
    pub(super) fn give(&mut self, image: ImageId, embedding: &Arc<ImageEmbedding>) {
        self.embeddings.insert(image, embedding.clone());
    }

    /// Takes note that a picture was encoded for it, which took `time`.
    pub(super) fn encoded(&mut self, time: Duration) {
        self.reading.n_encoded += 1;
        self.reading.encode_time += time;
    }

    /// How likely the tokens of the answer so far were, if that is asked for.
    pub(super) fn logprobs(&self) -> &[TokenLogprobs] {
        &self.chooser.logprobs
    }

    /// What comes next in the sequence, which holds `len` tokens: at most `most` tokens.
    pub(super) fn next(&self, len: usize, most: usize) -> Next<'_> {
        let outputs = |is_last| match is_last {
            true => Outputs::Last,
            false => Outputs::None,
        };
        if !self.is_reading(len) {
            let unread = &self.answer[len - self.wanted.len()..];
            return Next {
                ids: unread.iter().copied().take(most).collect(),
                image_rows: Vec::new(),
                outputs: outputs(unread.len() <= most),
            };
        }
        let end = len + most.min(self.n_readable(len));
        let slots = self.wanted[len..end].iter().enumerate();
        let image_rows = slots.filter_map(|(slot, what)| match what {
            Slot::Token(_) => None,
            Slot::Patch { image, row } => {
                let start = *row as usize * self.dim;
                let values = &self.embeddings[image].values[start..start + self.dim];
                Some(ImageRow { slot, values })
            }
        });
        Next {
            ids: self.ids[len..end].to_vec(),
            image_rows: image_rows.collect(),
            // An answer that has begun is read again to its end.
            outputs: outputs(end == self.wanted.len() && self.answer.is_empty()),
        }
    }

    /// The slots of the sequence from `len` to `end`.
    pub(super) fn slots(&self, len: usize, end: usize) -> impl Iterator<Item = Slot> {
        let answer = self.answer.iter().map(|&id| Slot::Token(id));
        let all = self.wanted.iter().copied().chain(answer);
        all.skip(len).take(end - len)
    }

    /// Chooses the next token by `logits`, and those that are certain then. Text that can be shown
    /// is appended to `shown`. Returns why the answer ends, if it does.
    pub(super) fn go_on(
        &mut self,
        logits: &[f32],
        n_ctx: usize,
        shown: &mut String,
    ) -> Result<Option<Finish>> {
        if self.answer.is_empty() {
            let waited = self.began.elapsed();
            self.reading.prefill_time = waited.saturating_sub(self.reading.encode_time);
            self.began = Instant::now();
            self.embeddings.clear();
        }
        let before = shown.len();
        let mut finish = self.choose(logits, n_ctx, shown)?;
        // What is certain is computed with it, unless its logits are wanted too.
        let in_one = !self.chooser.wants_logprobs();
        while in_one && finish.is_none() && !self.chooser.certain(1).is_empty() {
            finish = self.choose(&[], n_ctx, shown)?;
        }
        if finish.is_some_and(|finish| finish != Finish::StopString) {
            let tail = self.stops.push(&self.decoder.finish());
            shown.push_str(&tail.text);
            shown.push_str(&self.stops.finish());
        }
        self.text.push_str(&shown[before..]);
        Ok(finish)
    }

    fn choose(
        &mut self,
        logits: &[f32],
        n_ctx: usize,
        shown: &mut String,
    ) -> Result<Option<Finish>> {
        if self.answer.len() == self.max_tokens {
            return Ok(Some(Finish::MaxTokens));
        }
        let id = self.chooser.choose(logits)?;
        if Some(id) == self.eos {
            return Ok(Some(Finish::EndOfText));
        }
        self.chooser.take(id)?;
        self.answer.push(id);
        let passed = self.stops.push(&self.decoder.push(id));
        shown.push_str(&passed.text);
        Ok(if passed.stopped {
            Some(Finish::StopString)
        } else if self.chooser.is_complete() {
            Some(Finish::EndOfText)
        } else if self.wanted.len() + self.answer.len() > n_ctx {
            Some(Finish::ContextFull)
        } else if self.answer.len() == self.max_tokens {
            Some(Finish::MaxTokens)
        } else {
            None
        })
    }

    /// The answer as far as it came.
    pub(super) fn into_answer(self, finish: Finish) -> Answer {
        Answer {
            text: self.text,
            ids: self.answer,
            logprobs: self.chooser.logprobs,
            finish,
            reading: self.reading,
            drafted: 0,
            accepted: 0,
            forced: self.chooser.forced,
            decode_time: self.began.elapsed(),
        }
    }
}
