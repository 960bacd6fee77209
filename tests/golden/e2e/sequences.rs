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

/// The next three batches of `n` sequences: two single tokens, then three of each.
fn batches(n: usize) -> Vec<Vec<Vec<TokenId>>> {
    let ids = |sequence: usize, range: std::ops::Range<usize>| {
        let ids = range.map(|i| (3 + 11 * sequence + 7 * i) as TokenId % 200);
        ids.collect()
    };
    [0..5, 5..6, 6..7, 7..10]
        .into_iter()
        .map(|range| (0..n).map(|s| ids(s, range.clone())).collect())
        .collect()
}

/// Logits after each part of these batches, in the order of sequences.
pub(super) fn logits_of(decoder: &mut Decoder, sequences: &[(usize, usize)], n: usize) -> Vec<f32> {
    let mut found = Vec::new();
    for batch in batches(n) {
        let parts: Vec<Part> = sequences
            .iter()
            .map(|&(sequence, which)| Part {
                sequence,
                run: Run {
                    ids: &batch[which],
                    image_rows: &[],
                },
                outputs: Outputs::Last,
            })
            .collect();
        let mut logits = Vec::new();
        decoder.append_all(&parts, &mut logits).unwrap();
        found.extend(logits);
    }
    found
}

/// Of such logits for `n` sequences at once, those of one.
pub(super) fn rows_of(logits: &[f32], n_vocab: usize, which: usize, n: usize) -> Vec<f32> {
    let rows = logits.chunks_exact(n_vocab).skip(which).step_by(n);
    rows.flatten().copied().collect()
}

/// Types of weights, and the largest relative error of logits computed for eight sequences at once
/// against those for each alone: about twice the measured one. f32 is exact up to the order of sums. For
/// quantised types activations are rounded to 8 bits, which a difference in the last bit can tip (and where
/// ggml computes, their scales are rounded too): this stays well below what the type itself costs.
const SIDE_BY_SIDE: [(&str, f64); 4] = [
    ("f32", 1e-6),
    ("f16", 1e-3),
    ("q8_0", 0.035),
    ("q4_k", 0.025),
];

#[test]
fn logits_side_by_side_differ_from_those_alone_by_rounding() {
    const N: usize = 8;
    for (ty, bound) in SIDE_BY_SIDE {
        let model = model::golden(ty);
        let all: Vec<_> = (0..N).map(|s| (s, s)).collect();
        let together = logits_of(&mut decoder(&model, N), &all, N);
        let n_vocab = model.config().text.vocab_size as usize;
        let mut worst = 0.0f64;
        for which in 0..N {
            let alone = logits_of(&mut decoder(&model, 1), &[(0, which)], N);
            let rows = rows_of(&together, n_vocab, which, N);
            worst = worst.max(case::relative_l2(&rows, &alone));
        }
        println!("{ty}: {worst:.2e}");
        assert!(worst < bound, "{ty}: logits differ by {worst:.2e}");
    }
}

#[test]
fn a_copied_beginning_goes_on_like_the_one_it_is_a_copy_of() {
    let model = model::golden("f32");
    let mut decoder = decoder(&model, 3);
    let append = |decoder: &mut Decoder, sequence, ids: &[TokenId]| {
        let part = Part {
            sequence,
            run: Run {
                ids,
                image_rows: &[],
            },
            outputs: Outputs::Last,
        };
        let mut logits = Vec::new();
        decoder.append_all(&[part], &mut logits).unwrap();
        logits
    };
    append(&mut decoder, 0, &[1, 5, 6, 7, 8]);
    append(&mut decoder, 2, &[1, 5]);
    decoder.copy_tokens(0, 1, 4).unwrap();
    decoder.copy_tokens(0, 2, 4).unwrap();
    assert_eq!((decoder.len_of(1), decoder.len_of(2)), (4, 4));
    decoder.truncate_of(0, 4);
    let expected = append(&mut decoder, 0, &[9]);
    assert_eq!(append(&mut decoder, 1, &[9]), expected);
    // Its first two tokens were computed in a batch of another size.
    let own = append(&mut decoder, 2, &[9]);
    assert!(case::relative_l2(&own, &expected) < 1e-6);
    assert!(decoder.copy_tokens(0, 1, 6).is_err());
    assert!(decoder.copy_tokens(0, 0, 1).is_err());
    assert!(decoder.copy_tokens(0, 3, 1).is_err());
}
