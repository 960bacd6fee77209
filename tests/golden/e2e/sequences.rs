//! Several sequences in one decoder: each as if it were alone.

use super::{
    case::{self, Case},
    model, runs,
};
use pixtral::{
    ErrorKind,
    chat::Prompt,
    ggml::CancelFlag,
    runtime::{
        Decoder, DecoderOptions, ImageEmbedding, ImageRow, KvType, Model, Outputs, Part, Run,
    },
    tokenizer::TokenId,
};
use std::sync::Arc;

/// A conversation on its way through a decoder.
struct Conversation {
    name: String,
    prompt: Prompt,
    embeddings: Vec<ImageEmbedding>,
    /// The reference's answer.
    expected: Vec<TokenId>,
    n_read: usize,
    answer: Vec<TokenId>,
}

impl Conversation {
    fn new(model: &Arc<Model>, case: &Case) -> Self {
        let prompt = case.prompt(model.config().vision.patch_size);
        Self {
            name: case.name.clone(),
            embeddings: runs::embed(model, &prompt),
            expected: case.ids("greedy"),
            prompt,
            n_read: 0,
            answer: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.answer.len() == self.expected.len()
    }

    /// What the next batch has of it, if the prompt is read in pieces of `chunk` tokens.
    fn next<'a>(
        &'a self,
        rows: &'a [ImageRow<'a>],
        chunk: usize,
    ) -> (&'a [TokenId], Vec<ImageRow<'a>>) {
        if let Some(last) = self.answer.last() {
            return (std::slice::from_ref(last), Vec::new());
        }
        let range = self.n_read..self.prompt.ids.len().min(self.n_read + chunk);
        let inside = rows.iter().filter(|row| range.contains(&row.slot));
        let inside = inside.map(|row| ImageRow {
            slot: row.slot - range.start,
            values: row.values,
        });
        (&self.prompt.ids[range.clone()], inside.collect())
    }
}

fn decoder(model: &Arc<Model>, n_sequences: usize) -> Decoder {
    let options = DecoderOptions {
        n_ctx: 1024,
        n_ubatch: 512,
        kv_type: KvType::F32,
        n_threads: 1,
        reserve_bytes: 0,
        n_sequences,
    };
    Decoder::new(model.clone(), &options, CancelFlag::default()).unwrap()
}

fn most_likely(logits: &[f32]) -> TokenId {
    let best = (0..)
        .zip(logits)
        .reduce(|a, b| if b.1 > a.1 { b } else { a });
    best.expect("there are logits").0
}

/// Takes all of `conversations` to their ends, one sequence each, a batch at a time; the prompt of
/// conversation `i` is read in pieces of `chunk(i)` tokens, so that some answer while others read.
fn take_to_end(
    model: &Arc<Model>,
    decoder: &mut Decoder,
    conversations: &mut [Conversation],
    chunk: impl Fn(usize) -> usize,
) {
    let n_vocab = model.config().text.vocab_size as usize;
    let mut logits = Vec::new();
    while conversations.iter().any(|c| !c.is_done()) {
        let all_rows: Vec<_> = conversations
            .iter()
            .map(|c| runs::image_rows(model, &c.prompt, &c.embeddings))
            .collect();
        let pieces: Vec<_> = conversations
            .iter()
            .enumerate()
            .filter(|(_, c)| !c.is_done())
            .map(|(i, c)| (i, c.next(&all_rows[i], chunk(i))))
            .collect();
        let parts: Vec<Part> = pieces
            .iter()
            .map(|(i, (ids, rows))| {
                let c = &conversations[*i];
                let ends = c.n_read + ids.len() >= c.prompt.ids.len();
                Part {
                    sequence: *i,
                    run: Run {
                        ids,
                        image_rows: rows,
                    },
                    outputs: if ends { Outputs::Last } else { Outputs::None },
                }
            })
            .collect();
        decoder.append_all(&parts, &mut logits).unwrap();
        let read: Vec<(usize, usize, Outputs)> = parts
            .iter()
            .map(|part| (part.sequence, part.run.ids.len(), part.outputs))
            .collect();
        let mut rows = logits.chunks_exact(n_vocab);
        for (i, n, outputs) in read {
            conversations[i].n_read += n;
            assert_eq!(decoder.len_of(i), conversations[i].n_read);
            if outputs == Outputs::Last {
                let id = most_likely(rows.next().unwrap());
                conversations[i].answer.push(id);
            }
        }
        assert!(rows.next().is_none());
    }
}

#[track_caller]
fn assert_answers(conversations: &[Conversation]) {
    for c in conversations {
        assert_eq!(c.answer, c.expected, "{}", c.name);
    }
}

#[test]
fn answers_side_by_side_are_those_of_each_alone() {
    let model = model::golden("f32");
    let chunks: [fn(usize) -> usize; 3] = [|_| 512, |i| 5 + 9 * i, |i| 1 + (7 * i) % 5];
    for chunk in chunks {
        let mut conversations: Vec<_> = case::all()
            .iter()
            .map(|case| Conversation::new(&model, case))
            .collect();
        let mut decoder = decoder(&model, conversations.len());
        take_to_end(&model, &mut decoder, &mut conversations, chunk);
        assert_answers(&conversations);
    }
}

#[test]
fn a_sequence_that_is_used_again_remembers_nothing() {
    let model = model::golden("f32");
    let cases = case::all();
    let mut decoder = decoder(&model, 2);
    for pair in cases.windows(2) {
        let mut conversations: Vec<_> = pair
            .iter()
            .map(|case| Conversation::new(&model, case))
            .collect();
        take_to_end(&model, &mut decoder, &mut conversations, |_| 64);
        assert_answers(&conversations);
        for sequence in 0..decoder.n_sequences() {
            decoder.truncate_of(sequence, 0);
        }
    }
}

#[test]
fn sequences_that_do_not_exist_or_occur_twice_are_refused() {
    let model = model::golden("f32");
    let mut decoder = decoder(&model, 2);
    let part = |sequence| Part {
        sequence,
        run: Run {
            ids: &[1],
            image_rows: &[],
        },
        outputs: Outputs::Last,
    };
    for (parts, expected) in [
        (&[part(2)][..], "sequence 2 does not exist"),
        (&[part(1), part(1)], "sequence 1 occurs twice"),
        (&[], "no token"),
    ] {
        let e = decoder.append_all(parts, &mut Vec::new()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        assert!(e.message().contains(expected), "{e}");
    }
    assert_eq!((decoder.len_of(0), decoder.len_of(1)), (0, 0));
    let options = DecoderOptions {
        n_ctx: 16,
        n_ubatch: 16,
        kv_type: KvType::F32,
        n_threads: 1,
        reserve_bytes: 0,
        n_sequences: 0,
    };
    let none = Decoder::new(model.clone(), &options, CancelFlag::default());
    assert!(none.is_err());
}
