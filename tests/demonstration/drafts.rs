//! Drafts: the same answers, and the same session afterwards, wherever an answer ends.

use super::support::{Asker, EXACT, Mode, USUAL, model, questions, silent};
use pixtral::{
    chat::{Message, Part, Prompt},
    session::{Answer, Event, Finish, GenerateOptions, SamplingOptions, Session, Speculation},
};
use std::ops::ControlFlow;

const LENGTHS: [usize; 2] = [3, 8];

/// A conversation whose next answer repeats an earlier one.
struct Repeated {
    asker: Asker,
    prompt: Prompt,
    /// The next answer without drafts.
    plain: Answer,
}

impl Repeated {
    fn new() -> Self {
        let asker = Asker::new(&model("f32"), EXACT);
        let question = &questions(&["describe"], 1)[0];
        let mut messages = vec![asker.message(question, 0)];
        let first = asker.answer(&mut asker.session(), &messages);
        messages.push(Message::assistant(first));
        messages.push(Message::user([Part::text(question.turns[0].0.as_str())]));
        let plain = asker.generate(&mut asker.session(), &messages);
        assert_eq!(plain.finish, Finish::EndOfText);
        assert!(plain.ids.len() > 10);
        Self {
            prompt: asker.prompt(&messages),
            asker,
            plain,
        }
    }

    fn n_ctx(&self) -> usize {
        self.prompt.ids.len() + self.plain.ids.len() + 8
    }

    /// An answer in a context of `n_ctx`, and the session that gave it.
    fn run(&self, n_ctx: usize, options: &GenerateOptions) -> (Answer, Session) {
        let mut session = self.asker.session_of(n_ctx);
        let answer = session
            .generate(&self.prompt, options, &mut silent)
            .unwrap();
        (answer, session)
    }

    /// Compares answers with and without drafts, and the sessions that they leave behind.
    /// Returns the number of accepted tokens.
    #[track_caller]
    fn assert_same(&self, n_ctx: usize, options: &GenerateOptions) -> usize {
        let speculated = |speculation| GenerateOptions {
            speculation,
            ..options.clone()
        };
        let (expected, mut left) = self.run(n_ctx, &speculated(Speculation::Off));
        assert_eq!((expected.drafted, expected.accepted), (0, 0));
        let known = left.len();
        let logits = left.logits().to_vec();
        let next = self.next_logits(&mut left, &expected);
        let mut accepted = 0;
        for length in LENGTHS {
            let (found, mut left) = self.run(n_ctx, &speculated(Speculation::Fixed(length)));
            assert_eq!(found.ids, expected.ids, "{length}");
            assert_eq!(found.text, expected.text, "{length}");
            assert_eq!(found.finish, expected.finish, "{length}");
            assert!(found.accepted <= found.drafted);
            assert_eq!(left.len(), known, "{length}");
            assert_near(left.logits(), &logits);
            assert_near(&self.next_logits(&mut left, &found), &next);
            accepted += found.accepted;
        }
        accepted
    }

    /// What follows if another token takes the place of the answer's last one.
    fn next_logits(&self, session: &mut Session, answer: &Answer) -> Vec<f32> {
        let n_prompt = self.prompt.ids.len();
        let n_kept = answer.ids.len().min(session.len() - n_prompt) - 1;
        let mut prompt = self.prompt.clone();
        prompt.ids.extend(&answer.ids[..n_kept]);
        prompt.ids.push(self.prompt.ids[n_prompt - 2]);
        let reading = session.read(&prompt, &mut silent).unwrap();
        assert!(reading.n_reused >= n_prompt + n_kept);
        session.logits().to_vec()
    }
}

#[track_caller]
fn assert_near(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    let far = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    let far = far.fold(0.0, f32::max);
    assert!(far < 1e-3, "{far}");
}

#[test]
fn an_answer_that_repeats_an_earlier_one_is_mostly_drafted() {
    let repeated = Repeated::new();
    let options = GenerateOptions {
        speculation: Speculation::Fixed(4),
        ..GenerateOptions::default()
    };
    let (answer, _) = repeated.run(repeated.n_ctx(), &options);
    assert_eq!(answer.ids, repeated.plain.ids);
    assert!(
        2 * answer.accepted > answer.ids.len(),
        "{} of {} tokens of {:?}",
        answer.accepted,
        answer.ids.len(),
        answer.text
    );
}

#[test]
fn questions_are_answered_alike() {
    let model = model("q8_0");
    let plain = Mode {
        speculation: Speculation::Off,
        ..USUAL
    };
    let plain = Asker::new(&model, plain);
    for speculation in [Speculation::Auto, Speculation::Fixed(3)] {
        let mode = Mode {
            speculation,
            ..USUAL
        };
        let drafting = Asker::new(&model, mode);
        for question in questions(&["describe", "changed", "followup", "chat"], 8) {
            let (found, expected) = (drafting.answers(&question), plain.answers(&question));
            assert_eq!(found, expected, "{}", question.id);
        }
    }
}

#[test]
fn the_model_s_own_end_and_going_on_after_it() {
    let repeated = Repeated::new();
    let n_ctx = repeated.n_ctx();
    assert!(repeated.assert_same(n_ctx, &GenerateOptions::default()) > 0);
    let endless = GenerateOptions {
        ignore_eos: true,
        max_tokens: Some(repeated.plain.ids.len() + 6),
        ..GenerateOptions::default()
    };
    assert!(repeated.assert_same(n_ctx, &endless) > 0);
}

#[test]
fn the_most_tokens_at_each_place_of_a_draft() {
    let repeated = Repeated::new();
    for max_tokens in 2..repeated.plain.ids.len() {
        let options = GenerateOptions {
            max_tokens: Some(max_tokens),
            ..GenerateOptions::default()
        };
        repeated.assert_same(repeated.n_ctx(), &options);
    }
}

#[test]
fn a_full_context_at_each_place_of_a_draft() {
    let repeated = Repeated::new();
    for room in 2..repeated.plain.ids.len() {
        let n_ctx = repeated.prompt.ids.len() + room;
        repeated.assert_same(n_ctx, &GenerateOptions::default());
    }
}

#[test]
fn stop_strings_at_each_place_of_a_draft() {
    let repeated = Repeated::new();
    let text: Vec<char> = repeated.plain.text.chars().collect();
    for start in (8..text.len() - 4).step_by(3) {
        let options = GenerateOptions {
            stop: vec![text[start..start + 4].iter().collect()],
            ..GenerateOptions::default()
        };
        repeated.assert_same(repeated.n_ctx(), &options);
    }
}

#[test]
fn cancelling_at_each_piece() {
    let repeated = Repeated::new();
    let run = |speculation, wanted: usize| {
        let options = GenerateOptions {
            speculation,
            ..GenerateOptions::default()
        };
        let mut session = repeated.asker.session_of(repeated.n_ctx());
        let mut pieces = Vec::new();
        let answer = session
            .generate(&repeated.prompt, &options, &mut |event| {
                if let Event::Text(piece) = event {
                    pieces.push(piece.to_owned());
                }
                match pieces.len() >= wanted {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
            .unwrap();
        (pieces, answer.ids, answer.finish, session)
    };
    for wanted in (2..repeated.plain.ids.len()).step_by(2) {
        let (pieces, ids, finish, mut left) = run(Speculation::Off, wanted);
        assert_eq!(finish, Finish::Cancelled);
        let known = left.len();
        let follows = |session: &mut Session| {
            let again =
                session.generate(&repeated.prompt, &GenerateOptions::default(), &mut silent);
            again.unwrap().ids
        };
        assert_eq!(follows(&mut left), repeated.plain.ids);
        for length in LENGTHS {
            let (found, found_ids, finish, mut left) = run(Speculation::Fixed(length), wanted);
            assert_eq!((&found, &found_ids), (&pieces, &ids));
            assert_eq!((finish, left.len()), (Finish::Cancelled, known));
            assert_eq!(follows(&mut left), repeated.plain.ids);
        }
    }
}

#[test]
fn a_seed_gives_the_same_answer_by_drafts() {
    let repeated = Repeated::new();
    let mut accepted = 0;
    for seed in 0..4 {
        let options = GenerateOptions {
            max_tokens: Some(repeated.plain.ids.len()),
            ignore_eos: true,
            sampling: SamplingOptions {
                temperature: 1.2,
                top_p: 0.98,
                repeat_penalty: 1.1,
                repeat_last_n: 8,
                seed: Some(seed),
                ..SamplingOptions::default()
            },
            ..GenerateOptions::default()
        };
        accepted += repeated.assert_same(repeated.n_ctx(), &options);
    }
    assert!(accepted > 0);
}

#[test]
fn an_answer_that_is_left_midway_spoils_neither_the_session_nor_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("midway");
    let repeated = Repeated::new();
    let options = GenerateOptions {
        speculation: Speculation::Fixed(8),
        ..GenerateOptions::default()
    };
    let all = &repeated.plain.ids;
    let mut session = repeated.asker.session_of(repeated.n_ctx());
    let mut ahead = 0;
    for n_pieces in (1..all.len()).step_by(2) {
        let mut generation = session
            .begin(&repeated.prompt, &options, &mut silent)
            .unwrap();
        for _ in 0..n_pieces {
            session.next_piece(&mut generation).unwrap();
        }
        session.save(&path, b"").unwrap();
        let left = generation.into_answer();
        assert_eq!(left.finish, Finish::Cancelled);
        assert_eq!(left.ids, all[..left.ids.len()]);
        ahead = ahead.max(left.drafted - left.accepted);

        let mut restored = repeated.asker.session_of(repeated.n_ctx());
        restored.restore(&path).unwrap();
        assert_eq!(restored.len(), session.len());
        let mut longer = repeated.prompt.clone();
        longer.ids.extend(&left.ids);
        for session in [&mut restored, &mut session] {
            let rest = session.generate(&longer, &options, &mut silent).unwrap();
            assert_eq!(rest.ids, all[left.ids.len()..], "{n_pieces}");
        }
    }
    assert!(ahead > 0, "the decoder was never ahead");
}
