//! Compiling descriptions of answers.

use super::{Guide, vocabulary::Vocabulary};
use crate::{Error, ErrorKind, Result, tokenizer::Tokenizer};
use llguidance::{
    ParserFactory, TokenParser,
    api::TopLevelGrammar,
    toktrie::{InferenceCapabilities, TokEnv},
};
use serde_json::{Map, Value, json};
use std::{fmt, sync::Arc};

/// Deepest nesting of a schema; what serde_json reads is never deeper. Compiling recurses.
const DEEPEST: usize = 128;

/// White space between the tokens of JSON. Bounded, since a model that is at a loss repeats it
/// without end.
const WHITE_SPACE: &str = r"[ \t\r\n]{1,64}";

/// Makes [`Constraint`]s for the models of one tokenizer. Takes some time to make, so make one for
/// a model; cheap to clone; usable from several threads.
#[derive(Clone)]
pub struct ConstraintCompiler {
    factory: Arc<ParserFactory>,
    tokenizer: Tokenizer,
}

impl ConstraintCompiler {
    /// A compiler for answers of models with `tokenizer`.
    ///
    /// Errors with `InvalidTokenizer` if its tokens have more than 2 MiB.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self> {
        let env: TokEnv = Arc::new(Vocabulary::new(tokenizer)?);
        let capabilities = InferenceCapabilities::default();
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&env, capabilities, &slices).map_err(|e| {
            Error::new(
                ErrorKind::InvalidTokenizer,
                format!(
                    "the vocabulary cannot be used for constraints: {}",
                    short(&e)
                ),
            )
        })?;
        factory.quiet().limits_mut().verbose_errors = false;
        Ok(Self {
            factory: Arc::new(factory),
            tokenizer: tokenizer.clone(),
        })
    }

    /// JSON that is valid by `schema` (draft 2020-12 and earlier; the keywords that are understood
    /// are llguidance's), properties in the order in which the schema names them. At most 64
    /// characters of white space stand between tokens of JSON, unless the schema's `x-guidance` says
    /// otherwise.
    ///
    /// Errors with `InvalidArgument` if `schema` is none, allows nothing, is nested more than 128
    /// deep, or has a keyword that could not be kept.
    pub fn json_schema(&self, schema: &Value) -> Result<Constraint> {
        let schema = match schema {
            Value::Object(schema) => schema.clone(),
            Value::Bool(true) => Map::new(),
            _ => {
                return Err(refused("JSON schema", "expected an object"));
            }
        };
        let mut schema = Value::Object(schema);
        if deeper_than(&schema, DEEPEST) {
            let why = format!("it is nested more than {DEEPEST} deep");
            return Err(refused("JSON schema", &why));
        }
        schema
            .as_object_mut()
            .expect("an object")
            .entry("x-guidance")
            .or_insert_with(|| json!({"whitespace_pattern": WHITE_SPACE}));
        self.compile("JSON schema", TopLevelGrammar::from_json_schema(schema))
    }

    /// Any JSON object.
    pub fn json_object(&self) -> Result<Constraint> {
        self.json_schema(&json!({"type": "object"}))
    }

    /// Text that matches `pattern` from beginning to end. The syntax is that of the crate `regex`,
    /// without look-around and word boundaries.
    ///
    /// Errors with `InvalidArgument` if `pattern` is none.
    pub fn regex(&self, pattern: &str) -> Result<Constraint> {
        self.compile("regular expression", TopLevelGrammar::from_regex(pattern))
    }

    /// Text of a context-free grammar in llguidance's variant of the Lark language.
    ///
    /// Errors with `InvalidArgument` if `grammar` is none or names a special token.
    pub fn lark(&self, grammar: &str) -> Result<Constraint> {
        let grammar = TopLevelGrammar::from_lark(grammar.to_owned());
        self.compile("grammar", grammar)
    }

    fn compile(&self, what: &str, grammar: TopLevelGrammar) -> Result<Constraint> {
        match self.factory.create_parser(grammar) {
            Ok(parser) => Ok(Constraint {
                parser: Arc::new(parser),
                tokenizer: self.tokenizer.clone(),
            }),
            Err(e) => Err(refused(what, &short(&e))),
        }
    }
}

impl fmt::Debug for ConstraintCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConstraintCompiler").finish_non_exhaustive()
    }
}

/// What an answer may be, compiled. Cheap to clone; the same one can serve any number of answers.
#[derive(Clone)]
pub struct Constraint {
    /// Has read nothing yet.
    parser: Arc<TokenParser>,
    tokenizer: Tokenizer,
}

impl Constraint {
    /// The way along one answer of a model with `tokenizer`.
    ///
    /// Errors with `InvalidArgument` if the constraint was compiled for another tokenizer.
    pub(crate) fn guide(&self, tokenizer: &Tokenizer) -> Result<Guide> {
        if !self.tokenizer.is(tokenizer) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the constraint was compiled for another model's tokenizer: compile it for this one",
            ));
        }
        // Lexers grow as they are used; each answer has one of its own, so that none grows forever.
        Guide::new(self.parser.deep_clone(), tokenizer)
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Constraint").finish_non_exhaustive()
    }
}

fn refused(what: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("the {what} cannot be used as a constraint: {why}"),
    )
}

/// One line of llguidance's error: what the regular expression's parser found, or the first line
/// and what was being compiled.
pub(super) fn short(error: &dyn fmt::Display) -> String {
    let text = error.to_string();
    let text = text.split("\n<").next().unwrap_or_default();
    let mut lines = text.lines();
    if let Some(found) = lines.clone().find_map(|line| line.strip_prefix("error: ")) {
        return found.to_owned();
    }
    let first = lines.next().unwrap_or_default();
    let places: Vec<&str> = lines
        .map(str::trim)
        .filter(|line| line.starts_with("while processing"))
        .collect();
    [&[first], places.as_slice()].concat().join(" ")
}

/// Whether `value` is nested more than `most` deep.
fn deeper_than(value: &Value, most: usize) -> bool {
    let Some(most) = most.checked_sub(1) else {
        return true;
    };
    match value {
        Value::Array(items) => items.iter().any(|item| deeper_than(item, most)),
        Value::Object(fields) => fields.values().any(|field| deeper_than(field, most)),
        _ => false,
    }
}
