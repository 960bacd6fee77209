//! Arguments that say what an answer may be.

use crate::options::GenerateArgs;
use clap::Args;
use pixtral::{
    Error, ErrorKind, Result,
    constraint::{Constraint, ConstraintCompiler},
    runtime::Model,
    session::GenerateOptions,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What an answer may be.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct ConstraintArgs {
    /// Answer in JSON that is valid by the JSON schema in FILE
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Answer with a JSON object
    #[arg(long)]
    json_object: bool,
    /// Answer with text that PATTERN, a regular expression, matches from beginning to end
    #[arg(long, value_name = "PATTERN")]
    regex: Option<String>,
    /// Answer with text of the grammar in FILE (llguidance's variant of Lark)
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,
}

impl ConstraintArgs {
    /// The options of `generate` for answers of `model`, with the constraint.
    pub fn options(&self, generate: &GenerateArgs, model: &Model) -> Result<GenerateOptions> {
        Ok(GenerateOptions {
            constraint: self.compile(model)?,
            ..generate.options()
        })
    }

    fn compile(&self, model: &Model) -> Result<Option<Constraint>> {
        let compiler = || ConstraintCompiler::new(model.tokenizer());
        let constraint = if let Some(path) = &self.schema {
            let schema = serde_json::from_str(&read(path)?).map_err(|e| {
                let message = format!("{}: is not JSON: {e}", path.display());
                Error::new(ErrorKind::InvalidArgument, message).with_source(e)
            })?;
            compiler()?.json_schema(&schema)
        } else if self.json_object {
            compiler()?.json_object()
        } else if let Some(pattern) = &self.regex {
            compiler()?.regex(pattern)
        } else if let Some(path) = &self.grammar {
            compiler()?.lark(&read(path)?)
        } else {
            return Ok(None);
        };
        let file = self.schema.as_ref().or(self.grammar.as_ref());
        let named = |e: Error| match file {
            Some(path) => e.context(path.display()),
            None => e,
        };
        constraint.map(Some).map_err(named)
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => Error::new(
            ErrorKind::InvalidUtf8,
            format!("{}: is not UTF-8 text", path.display()),
        ),
        _ => Error::io(path, "read", e),
    })
}
