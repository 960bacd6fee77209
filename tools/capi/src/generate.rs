//! Answers: how they are made, in one go or piece by piece, and what is known of one afterwards.

use crate::{
    arguments::{NUL_TERMINATED, borrow, optional_text, place, texts},
    boundary::boundary,
    constraint::{Constraints, pixtral_constraint},
    event::{Teller, pixtral_event_callback, pixtral_event_kind},
    session::{State, pixtral_session},
    status::{invalid, pixtral_status},
    versioned::{self, Versioned},
};
use pixtral::{
    Result,
    chat::Message,
    session::{Answer, Finish, GenerateOptions, Generation, SamplingOptions, Speculation},
};
use std::{
    ffi::{c_char, c_void},
    ptr,
};

/// Whether tokens are drafted from what was said before. Answers do not depend on it.
#[repr(u32)]
#[derive(Clone, Copy)]
pub enum pixtral_speculation {
    /// When it pays.
    AUTO = 0,
    /// Never.
    OFF = 1,
}

/// How an answer is generated. Fill it with pixtral_generate_options_init, then change what you want. The
/// defaults take the most likely token each time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_generate_options {
    /// sizeof(pixtral_generate_options).
    pub struct_size: usize,
    /// Most tokens of the answer; 0, the default, goes on until the model ends it or the context is full.
    pub max_tokens: usize,
    /// Divides the logits; 0, the default, takes the most likely token each time.
    pub temperature: f32,
    /// Keeps the fewest most likely tokens whose probabilities add up to this; 1, the default, keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this fraction as likely as the most likely one; 0, the default, keeps all.
    pub min_p: f32,
    /// Makes tokens among the last repeat_last_n of the answer less likely; 1, the default, is off.
    pub repeat_penalty: f32,
    /// Keeps only this many most likely tokens; 0, the default, keeps all.
    pub top_k: usize,
    /// How far back the repeat penalty looks; 64 by default.
    pub repeat_last_n: usize,
    /// Start of the random sequence, if has_seed is 1.
    pub seed: u64,
    /// 0, the default, takes the clock in the place of seed.
    pub has_seed: u32,
    /// 1 goes on when the model ends its answer: for measuring. 0 by default.
    pub ignore_eos: u32,
    /// A pixtral_speculation.
    pub speculation: u32,
    /// A pixtral_constraint: what constraint describes; PIXTRAL_CONSTRAINT_NONE by default.
    pub constraint_kind: u32,
    /// What the answer may be: a JSON schema, a regular expression or a grammar; read during the call
    /// only. Holds for what is generated, not for a beginning that is continued. An answer that does not
    /// end with PIXTRAL_FINISH_END_OF_TEXT is cut short.
    pub constraint: *const c_char,
    /// Bytes of constraint, or PIXTRAL_NUL_TERMINATED, the default.
    pub constraint_len: usize,
    /// Texts that end the answer, of which they are no part; read during the call only.
    pub stop: *const crate::pixtral_str,
    /// Their number; 0 by default.
    pub n_stop: usize,
    /// Taken from the logit of a token for each time that the answer has it already; 0, the default, is
    /// off.
    pub frequency_penalty: f32,
    /// Taken from the logit of a token that the answer has already; 0, the default, is off.
    pub presence_penalty: f32,
}

// SAFETY: repr(C), the size first, integers, floats and pointers only.
unsafe impl Versioned for pixtral_generate_options {
    fn defaults() -> Self {
        let sampling = SamplingOptions::default();
        Self {
            struct_size: size_of::<Self>(),
            max_tokens: 0,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            repeat_penalty: sampling.repeat_penalty,
            top_k: sampling.top_k,
            repeat_last_n: sampling.repeat_last_n,
            seed: 0,
            has_seed: 0,
            ignore_eos: 0,
            speculation: pixtral_speculation::AUTO as u32,
            constraint_kind: pixtral_constraint::NONE as u32,
            constraint: ptr::null(),
            constraint_len: NUL_TERMINATED,
            stop: ptr::null(),
            n_stop: 0,
            frequency_penalty: sampling.frequency_penalty,
            presence_penalty: sampling.presence_penalty,
        }
    }
    const NAME: &'static str = "pixtral_generate_options";
    const FIRST_SIZE: usize = size_of::<Self>();
}

impl pixtral_generate_options {
    /// The library's options.
    ///
    /// # Safety
    /// The texts are as the struct says.
    unsafe fn to_library(self, constraints: &Constraints) -> Result<GenerateOptions> {
        // SAFETY: as the caller promises, for each.
        let (stop, constraint) = unsafe {
            (
                texts(self.stop, self.n_stop, "stop")?,
                optional_text(self.constraint, self.constraint_len, "constraint")?,
            )
        };
        Ok(GenerateOptions {
            constraint: constraints.compile(self.constraint_kind, constraint)?,
            max_tokens: Some(self.max_tokens).filter(|&n| n != 0),
            stop: stop.into_iter().map(str::to_owned).collect(),
            sampling: SamplingOptions {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                repeat_penalty: self.repeat_penalty,
                repeat_last_n: self.repeat_last_n,
                frequency_penalty: self.frequency_penalty,
                presence_penalty: self.presence_penalty,
                logit_bias: Vec::new(),
                seed: (self.has_seed != 0).then_some(self.seed),
            },
            logprobs: None,
            ignore_eos: self.ignore_eos != 0,
            speculation: match self.speculation {
                0 => Speculation::Auto,
                1 => Speculation::Off,
                other => {
                    return Err(invalid(format!(
                        "speculation is {other}, expected one of the values of pixtral_speculation"
                    )));
                }
            },
        })
    }
}

/// Why an answer ended.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pixtral_finish {
    /// The model ended it.
    END_OF_TEXT = 0,
    /// A stop text came.
    STOP_TEXT = 1,
    /// max_tokens were generated.
    MAX_TOKENS = 2,
    /// The context is full: the answer is incomplete.
    CONTEXT_FULL = 3,
    /// The caller cancelled, or ended it early: the answer is incomplete.
    CANCELLED = 4,
    /// For a reason that this interface has no name for.
    OTHER = 5,
}

/// An answer and what it took. Set `struct_size` before passing it; it may be in any state else.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_answer {
    /// sizeof(pixtral_answer).
    pub struct_size: usize,
    /// The text: NUL-terminated UTF-8 that belongs to the session and is valid until its next answer is
    /// begun or it is freed.
    pub text: *const c_char,
    /// Bytes of text, the final NUL not counted.
    pub text_len: usize,
    /// The ids of the answer's tokens, valid as long as text.
    pub tokens: *const u32,
    /// Their number.
    pub n_tokens: usize,
    /// Tokens of the prompt.
    pub n_prompt_tokens: usize,
    /// How many of them were known from before and not computed again.
    pub n_reused_tokens: usize,
    /// Pictures of the prompt.
    pub n_images: usize,
    /// How many of them went through the vision tower.
    pub n_encoded_images: usize,
    /// Tokens that were computed as drafts.
    pub n_drafted_tokens: usize,
    /// How many of them became part of the answer.
    pub n_accepted_tokens: usize,
    /// Tokens that the constraint left no choice about.
    pub n_forced_tokens: usize,
    /// Seconds in the vision tower.
    pub encode_seconds: f64,
    /// Seconds in reading the prompt.
    pub prefill_seconds: f64,
    /// Seconds from the first token of the answer to the last.
    pub decode_seconds: f64,
    /// A pixtral_finish.
    pub finish: i32,
    /// 1 if the answer calls tools: text is then a JSON list of objects with the fields name and
    /// arguments, and it is not added to the messages.
    pub calls_tools: u32,
}

// SAFETY: repr(C), the size first, integers, floats and pointers only.
unsafe impl Versioned for pixtral_answer {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            text: ptr::null(),
            text_len: 0,
            tokens: ptr::null(),
            n_tokens: 0,
            n_prompt_tokens: 0,
            n_reused_tokens: 0,
            n_images: 0,
            n_encoded_images: 0,
            n_drafted_tokens: 0,
            n_accepted_tokens: 0,
            n_forced_tokens: 0,
            encode_seconds: 0.0,
            prefill_seconds: 0.0,
            decode_seconds: 0.0,
            finish: pixtral_finish::OTHER as i32,
            calls_tools: 0,
        }
    }
    const NAME: &'static str = "pixtral_answer";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// The answer of a session: under way, then kept for the caller to read.
#[derive(Default)]
pub(crate) struct Answering {
    under_way: Option<Generation>,
    /// The last piece, NUL-terminated.
    piece: Vec<u8>,
    /// The last answer that was ended; its text has a NUL at its end.
    ended: Option<(Answer, Vec<u8>)>,
}

impl Answering {
    /// Whether an answer was begun and not ended.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }
}

impl State {
    /// Reads the messages and begins the answer.
    fn start(&mut self, options: &GenerateOptions, teller: &mut Teller) -> Result<()> {
        self.answering = Answering::default();
        let prompt = self.prompt(None)?;
        let mut events = |event: pixtral::session::Event| teller.session(event);
        let generation = self.session.begin(&prompt, options, &mut events)?;
        self.answering.under_way = Some(generation);
        Ok(())
    }

    /// The next piece of the answer under way.
    fn next_piece(&mut self) -> Result<Option<String>> {
        match &mut self.answering.under_way {
            Some(generation) => self.session.next_piece(generation),
            None => Err(invalid(
                "no answer is under way: begin one with pixtral_session_start",
            )),
        }
    }

    /// Ends the answer under way wherever it is, and makes it part of the conversation.
    fn end(&mut self) -> Result<pixtral_answer> {
        let Some(generation) = self.answering.under_way.take() else {
            return Err(invalid(
                "no answer is under way: begin one with pixtral_session_start",
            ));
        };
        let answer = generation.into_answer();
        let call = self.model.tokenizer().special("[TOOL_CALLS]");
        let calls_tools = call.is_some() && answer.ids.first().copied() == call;
        if !calls_tools {
            self.add_answer(&answer.text);
        }
        let text = [answer.text.as_bytes(), &[0]].concat();
        let (answer, text) = self.answering.ended.insert((answer, text));
        let reading = &answer.reading;
        Ok(pixtral_answer {
            text: text.as_ptr().cast(),
            text_len: answer.text.len(),
            tokens: answer.ids.as_ptr(),
            n_tokens: answer.ids.len(),
            n_prompt_tokens: reading.n_tokens,
            n_reused_tokens: reading.n_reused,
            n_images: reading.n_images,
            n_encoded_images: reading.n_encoded,
            n_drafted_tokens: answer.drafted,
            n_accepted_tokens: answer.accepted,
            n_forced_tokens: answer.forced,
            encode_seconds: reading.encode_time.as_secs_f64(),
            prefill_seconds: reading.prefill_time.as_secs_f64(),
            decode_seconds: answer.decode_time.as_secs_f64(),
            finish: finish(answer.finish) as i32,
            calls_tools: calls_tools.into(),
            ..pixtral_answer::defaults()
        })
    }

    /// Makes `text` the assistant's next message, or the end of one that was to be continued. The template
    /// cannot express an answer without text.
    fn add_answer(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.request.messages.last_mut() {
            Some(Message::Assistant { texts, prefix, .. }) if *prefix => {
                *prefix = false;
                match texts.last_mut() {
                    Some(last) => last.push_str(text),
                    None => texts.push(text.to_owned()),
                }
            }
            _ => self.request.messages.push(Message::assistant(text)),
        }
    }
}

fn finish(finish: Finish) -> pixtral_finish {
    match finish {
        Finish::EndOfText => pixtral_finish::END_OF_TEXT,
        Finish::StopString => pixtral_finish::STOP_TEXT,
        Finish::MaxTokens => pixtral_finish::MAX_TOKENS,
        Finish::ContextFull => pixtral_finish::CONTEXT_FULL,
        Finish::Cancelled => pixtral_finish::CANCELLED,
        _ => pixtral_finish::OTHER,
    }
}

/// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_generate_options_init(
    options: *mut pixtral_generate_options,
    size: usize,
) -> pixtral_status {
    // SAFETY: as the caller promises.
    boundary(|| unsafe { versioned::init(options, size) })
}

/// Reads the messages, as far as the model does not know them yet, and generates the answer, which becomes
/// the assistant's next message unless it is empty or calls tools. After an error the messages are as
/// before, and what was read is not read again.
///
/// `callback` is told of PLACING, ENCODING, READING, TEXT and NOTE; `options`, `callback` and `answer` may be NULL. Stopped
/// while reading, this is PIXTRAL_STATUS_CANCELLED; later the answer is what there is of it, and `finish`
/// says so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_generate(
    session: *mut pixtral_session,
    options: *const pixtral_generate_options,
    callback: pixtral_event_callback,
    user_data: *mut c_void,
    answer: *mut pixtral_answer,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, options) =
            unsafe { (borrow(session, "session")?, versioned::read(options)?) };
        // SAFETY: as the caller promises. A size that will not do is found now, not after the work.
        unsafe { check_room(answer) }?;
        let mut teller = Teller::new(callback, user_data);
        session.with_cancellable(|state| {
            // SAFETY: as the caller promises.
            let options = unsafe { options.to_library(&state.constraints) }?;
            state.start(&options, &mut teller)?;
            let mut stopped = false;
            while !stopped && let Some(piece) = state.next_piece()? {
                stopped = teller
                    .text(pixtral_event_kind::TEXT, &piece, (0, 0))
                    .is_break();
            }
            let ended = state.end()?;
            // SAFETY: as the caller promises.
            unsafe { give_answer(answer, &ended) }
        })
    })
}

/// Reads the messages as pixtral_session_generate does, and begins an answer that pixtral_session_next gives
/// piece by piece. An answer that was begun before and not ended is forgotten.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_start(
    session: *mut pixtral_session,
    options: *const pixtral_generate_options,
    callback: pixtral_event_callback,
    user_data: *mut c_void,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, options) =
            unsafe { (borrow(session, "session")?, versioned::read(options)?) };
        let mut teller = Teller::new(callback, user_data);
        session.with_cancellable(|state| {
            // SAFETY: as the caller promises.
            let options = unsafe { options.to_library(&state.constraints) }?;
            state.start(&options, &mut teller)
        })
    })
}

/// Computes until there is more of the answer, and points `*text` at it: NUL-terminated UTF-8 of `*text_len`
/// bytes, never empty, which belongs to the session and is valid until the next call on it. At the end
/// `*text` is NULL, and `*text_len` 0; call pixtral_session_end then, or earlier to leave it at that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_next(
    session: *mut pixtral_session,
    text: *mut *const c_char,
    text_len: *mut usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, text, text_len) = unsafe {
            (
                borrow(session, "session")?,
                place(text, "text")?,
                place(text_len, "text_len")?,
            )
        };
        (*text, *text_len) = (ptr::null(), 0);
        session.with_cancellable(|state| {
            if let Some(piece) = state.next_piece()? {
                let shown = &mut state.answering.piece;
                *text_len = piece.len();
                *shown = piece.into_bytes();
                shown.push(0);
                *text = shown.as_ptr().cast();
            }
            Ok(())
        })
    })
}

/// Ends the answer that pixtral_session_start began, wherever it is; it becomes the assistant's next message
/// unless it is empty or calls tools. `answer` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_end(
    session: *mut pixtral_session,
    answer: *mut pixtral_answer,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        unsafe {
            check_room(answer)?;
            borrow(session, "session")?.with_cancellable(|state| give_answer(answer, &state.end()?))
        }
    })
}

unsafe fn check_room(answer: *mut pixtral_answer) -> Result<()> {
    // SAFETY: as the caller promises.
    unsafe { give_answer(answer, &pixtral_answer::defaults()) }
}

unsafe fn give_answer(answer: *mut pixtral_answer, found: &pixtral_answer) -> Result<()> {
    match answer.is_null() {
        true => Ok(()),
        // SAFETY: as the caller promises.
        false => unsafe { versioned::fill(answer, found) },
    }
}
