//! What answers may be: descriptions that C passes, compiled for a model's vocabulary.

use crate::status::invalid;
use pixtral::{
    Error, ErrorKind, Result,
    constraint::{Constraint, ConstraintCompiler},
    runtime::Model,
};
use std::sync::{Arc, Mutex, PoisonError};

/// What an answer may be.
#[repr(u32)]
#[derive(Clone, Copy)]
pub enum pixtral_constraint {
    /// Whatever the model says.
    NONE = 0,
    /// JSON that fits a schema.
    JSON_SCHEMA = 1,
    /// Any JSON object.
    JSON_OBJECT = 2,
    /// Text that matches a regular expression from beginning to end.
    REGEX = 3,
    /// Text of a context-free grammar in llguidance's variant of the Lark language.
    GRAMMAR = 4,
}

/// Compiles constraints for one model. Preparing the vocabulary takes a while, so it is done when it is
/// first needed, once for all sessions.
pub(crate) struct Constraints {
    model: Arc<Model>,
    compiler: Mutex<Option<ConstraintCompiler>>,
}

impl Constraints {
    pub(crate) fn new(model: Arc<Model>) -> Self {
        Self {
            model,
            compiler: Mutex::new(None),
        }
    }

    /// The constraint of `kind`, a [`pixtral_constraint`], that `text` describes.
    pub(crate) fn compile(&self, kind: u32, text: Option<&str>) -> Result<Option<Constraint>> {
        if kind == 0 {
            return Ok(None);
        }
        let mut compiler = self.compiler.lock().unwrap_or_else(PoisonError::into_inner);
        let compiler = match &mut *compiler {
            Some(compiler) => compiler,
            none => none.insert(ConstraintCompiler::new(self.model.tokenizer())?),
        };
        let text = || text.ok_or_else(|| invalid("constraint is NULL"));
        match kind {
            1 => {
                let schema = serde_json::from_str(text()?).map_err(|e| {
                    Error::new(
                        ErrorKind::InvalidArgument,
                        format!("constraint: the schema is not JSON: {e}"),
                    )
                    .with_source(e)
                })?;
                compiler.json_schema(&schema)
            }
            2 => compiler.json_object(),
            3 => compiler.regex(text()?),
            4 => compiler.lark(text()?),
            other => Err(invalid(format!(
                "constraint_kind is {other}, expected one of the values of pixtral_constraint"
            ))),
        }
        .map(Some)
    }
}
