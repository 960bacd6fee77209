//! The user's wish: a mixture by name, another type for the vision half, exceptions by tensor name.
//! It is applied to the list of a model's tensors and knows neither files nor weights.

use super::mixture::{fitting, mixed};
use super::report::Fallback;
use crate::config::{Config, Group, Role, TensorSpec};
use crate::gguf::TensorType::{self, *};
use crate::{Error, ErrorKind, Result};
use regex::Regex;
use std::{fmt, str::FromStr};

/// The types that a recipe may name, from the most precise to the smallest.
pub const TYPES: [TensorType; 13] = [
    F32, BF16, F16, Q8_0, Q6K, Q5K, Q5_0, Q4K, Q4_0, IQ4NL, IQ4XS, Q3K, Q2K,
];

/// Decides the type of every tensor.
///
/// `f32`, `bf16`, `f16` and `q8_0` give all matrices that type. The smaller ones are mixtures that
/// keep sensitive matrices at more bits, and leave the vision tower and projector at `q8_0` unless
/// told otherwise. Norms and biases are f32 in every recipe.
#[derive(Clone, Debug)]
pub struct Recipe {
    base: TensorType,
    vision: TensorType,
    overrides: Vec<TensorOverride>,
}

/// A type for the tensors whose names match a regular expression, written `REGEX=TYPE`. The
/// expression is searched for anywhere in the name.
#[derive(Clone, Debug)]
pub struct TensorOverride {
    regex: Regex,
    ty: TensorType,
}

/// What a recipe makes of a list of tensors.
pub(super) struct Assignment {
    /// The type of each tensor, in order.
    pub types: Vec<TensorType>,
    /// Tensors whose rows are not whole blocks of the wanted type.
    pub fallbacks: Vec<Fallback>,
}

impl Recipe {
    /// The recipe named after `base`, one of [`TYPES`].
    pub fn new(base: TensorType) -> Result<Self> {
        let base = supported(base)?;
        Ok(Self {
            base,
            vision: match base {
                F32 | BF16 | F16 => base,
                _ => Q8_0,
            },
            overrides: Vec::new(),
        })
    }

    /// The same with all matrices of the vision tower and the projector as `ty`.
    pub fn with_vision_type(mut self, ty: TensorType) -> Result<Self> {
        self.vision = supported(ty)?;
        Ok(self)
    }

    /// The same with an exception, which goes before all earlier ones.
    pub fn with_override(mut self, exception: TensorOverride) -> Self {
        self.overrides.push(exception);
        self
    }

    /// The type that it is named after.
    pub fn base(&self) -> TensorType {
        self.base
    }

    /// Chooses the types of `specs`, the tensors of a model of shape `config`.
    ///
    /// # Errors
    /// `InvalidArgument` if an exception matches no tensor, or norms and biases alone.
    pub(super) fn assign(&self, config: &Config, specs: &[TensorSpec]) -> Result<Assignment> {
        for exception in &self.overrides {
            exception.check(specs)?;
        }
        let mut fallbacks = Vec::new();
        let types = specs
            .iter()
            .map(|spec| {
                let wanted = self.wanted(config, spec);
                let used = fitting(wanted, spec.dims[0]);
                if used != wanted {
                    fallbacks.push(Fallback {
                        tensor: spec.name.clone(),
                        wanted: wanted.name(),
                        used: used.name(),
                        row_length: spec.dims[0],
                        block: wanted.block_size(),
                    });
                }
                used
            })
            .collect();
        Ok(Assignment { types, fallbacks })
    }

    fn wanted(&self, config: &Config, spec: &TensorSpec) -> TensorType {
        if is_vector(spec) {
            return F32;
        }
        let mut overrides = self.overrides.iter().rev();
        if let Some(exception) = overrides.find(|o| o.regex.is_match(&spec.name)) {
            return exception.ty;
        }
        let layer = match spec.group {
            Group::Vision => return self.vision,
            Group::Block(layer) => Some(layer),
            Group::Embedding | Group::Output => None,
        };
        mixed(self.base, spec.role, layer, config.text.block_count)
    }
}

impl FromStr for Recipe {
    type Err = Error;

    /// The recipe of that name, one of [`TYPES`].
    fn from_str(name: &str) -> Result<Self> {
        Self::new(name.parse()?)
    }
}

impl fmt::Display for Recipe {
    /// All of it on one line, the way it is recorded in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.base)?;
        if self.vision != self.base {
            write!(f, ", vision {}", self.vision)?;
        }
        for exception in &self.overrides {
            write!(f, ", {exception}")?;
        }
        Ok(())
    }
}

impl TensorOverride {
    /// Type `ty`, one of [`TYPES`], for the tensors whose names match `regex`.
    pub fn new(regex: &str, ty: TensorType) -> Result<Self> {
        let regex = Regex::new(regex).map_err(|e| {
            // The crate draws the expression on several lines; its last one says what is wrong.
            let text = e.to_string();
            let reason = text.lines().last().unwrap_or_default();
            argument(format!(
                "\"{regex}\" is not a regular expression: {}",
                reason.trim_start_matches("error: ")
            ))
        })?;
        Ok(Self {
            regex,
            ty: supported(ty)?,
        })
    }

    /// Refuses an exception without effect: most likely a slip.
    fn check(&self, specs: &[TensorSpec]) -> Result<()> {
        let mut matched = specs.iter().filter(|s| self.regex.is_match(&s.name));
        let Some(first) = matched.next() else {
            return Err(argument(format!(
                "{self}: no tensor has such a name; names are like {} and {}",
                example(specs, Role::AttnQ),
                example(specs, Role::Output)
            )));
        };
        if self.ty != F32 && is_vector(first) && matched.all(is_vector) {
            return Err(argument(format!(
                "{self}: matches only norms and biases such as {}, which are always f32",
                first.name
            )));
        }
        Ok(())
    }
}

impl FromStr for TensorOverride {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // A type's name has no "=", an expression may.
        let (regex, ty) = text
            .rsplit_once('=')
            .filter(|(regex, _)| !regex.is_empty())
            .ok_or_else(|| argument(format!("\"{text}\": expected REGEX=TYPE")))?;
        Self::new(regex, ty.parse()?)
    }
}

impl fmt::Display for TensorOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.regex, self.ty)
    }
}

/// Whether the runtime computes with it in f32: a norm's gain or a bias.
fn is_vector(spec: &TensorSpec) -> bool {
    matches!(spec.role, Role::Norm | Role::Bias)
}

fn example(specs: &[TensorSpec], role: Role) -> &str {
    specs
        .iter()
        .find(|s| s.role == role)
        .map_or("", |s| s.name.as_str())
}

fn supported(ty: TensorType) -> Result<TensorType> {
    if TYPES.contains(&ty) {
        return Ok(ty);
    }
    let names = TYPES.map(TensorType::name).join(", ");
    Err(Error::new(
        ErrorKind::UnsupportedType,
        format!("files of type {ty} are not written, expected one of {names}"),
    ))
}

fn argument(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::inventory;

    /// Types by tensor name for Pixtral-12B.
    fn types(recipe: &Recipe) -> impl Fn(&str) -> TensorType + use<> {
        let config = Config::pixtral_12b();
        let specs = inventory(&config);
        let types = recipe.assign(&config, &specs).unwrap().types;
        move |name| types[specs.iter().position(|s| s.name == name).unwrap()]
    }

    fn refusal(recipe: Recipe) -> String {
        let config = Config::pixtral_12b();
        let assigned = recipe.assign(&config, &inventory(&config));
        assigned.err().unwrap().message().to_owned()
    }

    #[test]
    fn q4_k_is_the_mixture_of_that_name() {
        let ty = types(&"q4_k".parse().unwrap());
        assert_eq!(ty("token_embd.weight"), Q4K);
        assert_eq!(ty("output.weight"), Q6K);
        assert_eq!(ty("output_norm.weight"), F32);
        assert_eq!(ty("blk.0.attn_v.weight"), Q6K);
        assert_eq!(ty("blk.5.attn_v.weight"), Q4K);
        assert_eq!(ty("blk.39.ffn_down.weight"), Q6K);
        assert_eq!(ty("blk.39.ffn_up.weight"), Q4K);
        assert_eq!(ty("v.blk.3.attn_v.weight"), Q8_0);
        assert_eq!(ty("mm.1.weight"), Q8_0);
        assert_eq!(ty("mm.1.bias"), F32);
        assert_eq!(ty("v.patch_embd.weight"), F16);
    }

    #[test]
    fn float_recipes_keep_their_type_in_the_vision_half() {
        for base in [F32, BF16, F16] {
            let ty = types(&Recipe::new(base).unwrap());
            assert_eq!(ty("v.patch_embd.weight"), base);
            assert_eq!(ty("v.blk.0.ffn_up.weight"), base);
            assert_eq!(ty("output.weight"), base);
        }
    }

    #[test]
    fn rows_that_are_not_whole_blocks_are_named_with_the_reason() {
        let config = Config::pixtral_12b();
        let recipe = Recipe::new(Q4K).unwrap().with_vision_type(Q6K).unwrap();
        let fallbacks = recipe
            .assign(&config, &inventory(&config))
            .unwrap()
            .fallbacks;
        let lines: Vec<String> = fallbacks.iter().map(Fallback::to_string).collect();
        assert_eq!(
            lines,
            [
                "v.patch_embd.weight: f16 instead of q6_k: rows of 16 values are not whole blocks of 256"
            ]
        );
    }

    #[test]
    fn the_last_exception_that_matches_decides() {
        let recipe = Recipe::new(Q4K)
            .unwrap()
            .with_override("ffn_down=q8_0".parse().unwrap())
            .with_override(r"^blk\.1\.=f16".parse().unwrap());
        let ty = types(&recipe);
        assert_eq!(ty("blk.0.ffn_down.weight"), Q8_0);
        assert_eq!(ty("v.blk.0.ffn_down.weight"), Q8_0);
        assert_eq!(ty("blk.1.ffn_down.weight"), F16);
        assert_eq!(ty("blk.1.attn_norm.weight"), F32);
        assert_eq!(ty("blk.11.attn_q.weight"), Q4K);
        assert_eq!(
            recipe.to_string(),
            r"q4_k, vision q8_0, ffn_down=q8_0, ^blk\.1\.=f16"
        );
    }

    #[test]
    fn exceptions_without_effect_and_bad_spellings_are_refused() {
        let q4_k = Recipe::new(Q4K).unwrap();
        let with = |text: &str| q4_k.clone().with_override(text.parse().unwrap());
        assert_eq!(
            refusal(with("atn_q=q8_0")),
            "atn_q=q8_0: no tensor has such a name; names are like v.blk.0.attn_q.weight and \
             output.weight"
        );
        assert_eq!(
            refusal(with("norm=q8_0")),
            "norm=q8_0: matches only norms and biases such as blk.0.attn_norm.weight, which are \
             always f32"
        );
        let message = |text: &str| {
            let e = text.parse::<TensorOverride>().unwrap_err();
            e.message().to_owned()
        };
        assert_eq!(
            message("(=q8_0"),
            "\"(\" is not a regular expression: unclosed group"
        );
        assert_eq!(message("q8_0"), "\"q8_0\": expected REGEX=TYPE");
        assert!(message("output=q9").contains("is not a tensor type"));
        assert!(message("output=iq1_s").contains("iq1_s are not written"));
        assert!("i32".parse::<Recipe>().is_err());
    }
}
