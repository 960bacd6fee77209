//! The fields that decide how tokens are chosen and when an answer ends, which chats and completions
//! share.

use crate::{
    body::fields,
    error::{ApiError, Result},
    whole::Whole,
};
use pixtral::{
    session::{GenerateOptions, SamplingOptions, Speculation},
    tokenizer::TokenId,
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Display};

/// Answers that one request may ask for.
pub(crate) const MOST_CHOICES: i64 = 16;

/// Stop strings of one request.
const MOST_STOPS: usize = 16;

/// Most tokens with a bias, as in OpenAI's API.
const MOST_BIASES: usize = 300;

/// Options of generating.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sampling {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<Whole>,
    min_p: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repeat_penalty: Option<f32>,
    logit_bias: Option<BTreeMap<String, f32>>,
    seed: Option<Whole>,
    stop: Option<Stop>,
    n: Option<Whole>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

/// One stop string or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// How the answer is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// Answers.
    pub(crate) n: usize,
    /// Whether piece by piece.
    pub(crate) stream: bool,
    /// Whether a stream ends with the numbers of tokens.
    pub(crate) include_usage: bool,
}

impl Sampling {
    pub(crate) fn read(request: &Value) -> Result<Self> {
        fields(request)
    }

    pub(crate) fn delivery(&self) -> Result<Delivery> {
        let n = whole("n", self.n, 1..=MOST_CHOICES)?.unwrap_or(1);
        let options = self.stream_options.unwrap_or_default();
        Ok(Delivery {
            n: n as usize,
            stream: self.stream.unwrap_or(false),
            include_usage: options.include_usage.unwrap_or(false),
        })
    }

    /// The options for a model of `vocab_size` tokens. Temperature is 1 unless something else is asked
    /// for, as in OpenAI's API.
    pub(crate) fn options(&self, vocab_size: u32) -> Result<GenerateOptions> {
        let usual = SamplingOptions::default();
        let penalty = -2.0..=2.0;
        Ok(GenerateOptions {
            stop: self.stops()?,
            speculation: Speculation::Off,
            sampling: SamplingOptions {
                temperature: within("temperature", self.temperature, 0.0..=2.0)?.unwrap_or(1.0),
                top_p: within("top_p", self.top_p, 0.0..=1.0)?
                    // 0 keeps the most likely token, which the smallest number above it does too.
                    .map_or(usual.top_p, |p| p.max(f32::MIN_POSITIVE)),
                // -1 is vLLM's way to say all.
                top_k: whole("top_k", self.top_k, -1..=i64::from(i32::MAX))?
                    .map_or(usual.top_k, |k| k.max(0) as usize),
                min_p: within("min_p", self.min_p, 0.0..=1.0)?.unwrap_or(usual.min_p),
                repeat_penalty: within("repeat_penalty", self.repeat_penalty, 0.01..=100.0)?
                    .unwrap_or(usual.repeat_penalty),
                presence_penalty: within(
                    "presence_penalty",
                    self.presence_penalty,
                    penalty.clone(),
                )?
                .unwrap_or_default(),
                frequency_penalty: within("frequency_penalty", self.frequency_penalty, penalty)?
                    .unwrap_or_default(),
                logit_bias: self.biases(vocab_size)?,
                seed: self.seed.map(|seed| seed.0 as u64),
                ..usual
            },
            ..GenerateOptions::default()
        })
    }

    fn stops(&self) -> Result<Vec<String>> {
        let stops = match self.stop.clone() {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Several(stops)) => stops,
        };
        if stops.len() > MOST_STOPS {
            let why = format!(
                "expected at most {MOST_STOPS} strings, found {}",
                stops.len()
            );
            return Err(ApiError::field("stop", why));
        }
        Ok(stops)
    }

    fn biases(&self, vocab_size: u32) -> Result<Vec<(TokenId, f32)>> {
        let biases = self.logit_bias.iter().flatten();
        if biases.clone().count() > MOST_BIASES {
            let why = format!("expected at most {MOST_BIASES} tokens");
            return Err(ApiError::field("logit_bias", why));
        }
        let bias = |(id, &bias): (&String, &f32)| match id.parse::<TokenId>() {
            Ok(id) if id < vocab_size => {
                within("logit_bias", Some(bias), -100.0..=100.0)?;
                Ok((id, bias))
            }
            _ => Err(ApiError::field(
                "logit_bias",
                format!("{id:?} is no token from 0 to {}", vocab_size - 1),
            )),
        };
        biases.map(bias).collect()
    }
}

/// The value of the field `name`, if there is one, which must lie within `range`.
pub(crate) fn within<T: PartialOrd + Display + Copy>(
    name: &str,
    value: Option<T>,
    range: std::ops::RangeInclusive<T>,
) -> Result<Option<T>> {
    match value {
        Some(value) if !range.contains(&value) => Err(ApiError::field(
            name,
            format!(
                "expected {} to {}, found {value}",
                range.start(),
                range.end()
            ),
        )),
        value => Ok(value),
    }
}

/// The same for whole numbers.
pub(crate) fn whole(
    name: &str,
    value: Option<Whole>,
    range: std::ops::RangeInclusive<i64>,
) -> Result<Option<i64>> {
    within(name, value.map(|value| value.0), range)
}

/// The `i`-th of several answers differs from the others, but is the same for the same seed.
pub(crate) fn choice(options: &GenerateOptions, i: usize) -> GenerateOptions {
    let mut options = options.clone();
    let seed = &mut options.sampling.seed;
    *seed = seed.map(|seed| seed.wrapping_add(i as u64));
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(request: Value) -> Result<GenerateOptions> {
        Sampling::read(&request)?.options(2000)
    }

    #[test]
    fn absent_and_null_fields_are_openais_defaults() {
        for request in [
            json!({}),
            json!({"temperature": null, "stop": null, "seed": null}),
        ] {
            let options = read(request).unwrap();
            assert_eq!(options.sampling.temperature, 1.0);
            assert_eq!(options.sampling.seed, None);
            assert!(options.stop.is_empty());
        }
        let options = read(json!({"top_p": 0, "top_k": -1, "stop": "a", "other": [1]})).unwrap();
        assert!(options.sampling.top_p > 0.0);
        assert_eq!(options.sampling.top_k, 0);
        assert_eq!(options.stop, ["a"]);
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_its_name() {
        for (param, value) in [
            ("temperature", json!(-0.1)),
            ("temperature", json!("hot")),
            ("top_p", json!(1.1)),
            ("top_k", json!(-2)),
            ("top_k", json!(1.5)),
            ("min_p", json!(2)),
            ("presence_penalty", json!(3)),
            ("frequency_penalty", json!([])),
            ("repeat_penalty", json!(0)),
            ("seed", json!("a")),
            ("stop", json!(1)),
            ("stop", json!(vec!["a"; 17])),
            ("stream", json!(1)),
            ("stream_options", json!("a")),
            ("logit_bias", json!({"2000": 1})),
            ("logit_bias", json!({"a": 1})),
            ("logit_bias", json!({"1": 101})),
        ] {
            let e = read(json!({param: value})).expect_err(param);
            assert_eq!(e.status.as_u16(), 400);
            let named = e.param.unwrap_or_default();
            assert!(named.starts_with(param), "{named}: {}", e.message);
        }
        for n in [0, -1, 17] {
            let sampling = Sampling::read(&json!({"n": n})).unwrap();
            assert_eq!(sampling.delivery().unwrap_err().param.as_deref(), Some("n"));
        }
    }

    #[test]
    fn choices_of_one_request_differ_but_not_from_run_to_run() {
        let options = read(json!({"seed": -1})).unwrap();
        let seeds: Vec<_> = (0..3).map(|i| choice(&options, i).sampling.seed).collect();
        assert_eq!(seeds, [Some(u64::MAX), Some(0), Some(1)]);
    }
}
