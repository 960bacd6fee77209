//! Asking: runs a prompt in a session, shows progress, streams the answer, sums up the time.

use crate::progress::ReadingProgress;
use pixtral::{
    Error, ErrorKind, Result,
    chat::Prompt,
    session::{Answer, Event, Finish, GenerateOptions, Session},
};
use pixtral_terminal::{Interrupt, out, outln, units};
use serde_json::{Value, json};
use std::ops::ControlFlow;

/// What is shown while an answer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Progress on standard error, the answer on standard output as it comes.
    Stream,
    /// Progress only: the caller prints the answer.
    Progress,
    /// Nothing: the caller has a progress bar of its own.
    Nothing,
}

/// Asks `prompt` and returns the answer. Ctrl-C ends reading with an error of kind `Cancelled`,
/// or cuts the answer short.
pub fn ask(
    session: &mut Session,
    prompt: &Prompt,
    options: &GenerateOptions,
    interrupt: &Interrupt,
    show: Show,
) -> Result<Answer> {
    let progress = ReadingProgress::new();
    let mut output = Ok(());
    let flag = session.cancel_flag();
    let result = interrupt.during(flag, || {
        session.generate(prompt, options, &mut |event| {
            if show != Show::Nothing || matches!(event, Event::Note(_)) {
                progress.show(&event);
            }
            if let (Event::Text(piece), Show::Stream) = (event, show) {
                output = out!("{piece}");
            }
            match output {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })
    });
    progress.clear();
    output?;
    let answer = result?;
    if show == Show::Stream && !answer.text.ends_with('\n') {
        outln!("")?;
    }
    Ok(answer)
}

/// One line about what an answer took.
pub fn timing_line(answer: &Answer) -> String {
    let reading = &answer.reading;
    let mut parts = Vec::new();
    if reading.n_images > 0 {
        let pictures = match reading.n_images {
            1 => "1 picture".to_owned(),
            n => format!("{n} pictures"),
        };
        parts.push(match reading.n_encoded {
            0 => format!("{pictures} known"),
            _ => format!("{pictures} in {}", units::duration(reading.encode_time)),
        });
    }
    let n_read = reading.n_tokens - reading.n_reused;
    let known = match reading.n_reused {
        0 => String::new(),
        n => format!(" ({n} more known)"),
    };
    parts.push(format!(
        "{n_read} tokens read{known} in {} ({:.1}/s)",
        units::duration(reading.prefill_time),
        units::rate(n_read, reading.prefill_time)
    ));
    let n = answer.ids.len();
    parts.push(format!(
        "{n} generated in {} ({:.1}/s)",
        units::duration(answer.decode_time),
        units::rate(n, answer.decode_time)
    ));
    if answer.accepted > 0 {
        let (accepted, drafted) = (answer.accepted, answer.drafted);
        parts.push(format!("{accepted} of {drafted} drafted tokens accepted"));
    }
    parts.join(" · ")
}

/// An answer with its counts and times, for programs.
pub fn to_json(answer: &Answer) -> Value {
    let reading = &answer.reading;
    json!({
        "text": answer.text,
        "finish": finish_name(answer.finish),
        "tokens": {
            "prompt": reading.n_tokens,
            "reused": reading.n_reused,
            "generated": answer.ids.len(),
            "drafted": answer.drafted,
            "accepted": answer.accepted,
            "forced": answer.forced,
        },
        "images": {"count": reading.n_images, "encoded": reading.n_encoded},
        "seconds": {
            "encode": reading.encode_time.as_secs_f64(),
            "prefill": reading.prefill_time.as_secs_f64(),
            "decode": answer.decode_time.as_secs_f64(),
        },
    })
}

fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::EndOfText | Finish::StopString => "stop",
        Finish::MaxTokens => "length",
        Finish::ContextFull => "context_full",
        Finish::Cancelled => "cancelled",
        _ => "other",
    }
}

/// The error that an incomplete answer amounts to, if it is one.
pub fn incomplete(answer: &Answer, session: &Session, options: &GenerateOptions) -> Option<Error> {
    match answer.finish {
        Finish::ContextFull => Some(Error::new(
            ErrorKind::ContextFull,
            format!(
                "the answer is incomplete: the context of {} tokens is full; use a larger --ctx",
                session.n_ctx()
            ),
        )),
        Finish::MaxTokens if options.constraint.is_some() => Some(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the answer is incomplete: it was not as demanded after {} tokens; use a larger \
                 --max-tokens",
                answer.ids.len()
            ),
        )),
        Finish::Cancelled => Some(Error::new(ErrorKind::Cancelled, "the answer is incomplete")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixtral::session::Reading;
    use std::time::Duration;

    fn answer(drafted: usize, accepted: usize) -> Answer {
        Answer {
            text: "Yes.".to_owned(),
            logprobs: Vec::new(),
            ids: vec![7, 8, 9],
            finish: Finish::EndOfText,
            reading: Reading::default(),
            drafted,
            accepted,
            forced: 0,
            decode_time: Duration::from_secs(1),
        }
    }

    #[test]
    fn drafts_are_mentioned_if_they_were_of_use() {
        let line = timing_line(&answer(4, 2));
        assert!(
            line.ends_with(" · 2 of 4 drafted tokens accepted"),
            "{line}"
        );
        for useless in [answer(0, 0), answer(4, 0)] {
            let line = timing_line(&useless);
            assert!(!line.contains("draft"), "{line}");
        }
        let tokens = &to_json(&answer(4, 2))["tokens"];
        assert_eq!(
            (&tokens["drafted"], &tokens["accepted"]),
            (&json!(4), &json!(2))
        );
    }
}
