//! `response_format`: what the answer may be.

use crate::{
    error::{ApiError, Result},
    state::State,
};
use pixtral::constraint::{Constraint, ConstraintCompiler};
use serde::Deserialize;
use serde_json::Value;

/// The form of an answer. Regular expressions and grammars are an extension.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Format {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
    Regex { pattern: String },
    Grammar { grammar: String },
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NamedSchema {
    schema: Option<Value>,
}

impl Format {
    /// The format of `request`.
    pub(crate) fn read(request: &Value) -> Result<Self> {
        match request.get("response_format") {
            None | Some(Value::Null) => Ok(Self::Text),
            Some(format) => serde_path_to_error::deserialize(format).map_err(|e| {
                let path = e.path().to_string();
                let param = match path.as_str() {
                    "." => "response_format".to_owned(),
                    path => format!("response_format.{path}"),
                };
                ApiError::field(param, e.inner())
            }),
        }
    }

    /// What the answer is held to, if it is.
    pub(crate) fn compile(&self, state: &State) -> Result<Option<Constraint>> {
        if matches!(self, Self::Text) {
            return Ok(None);
        }
        let constraint = self.compile_with(&state.compiler);
        constraint.map(Some).map_err(|e| ApiError {
            param: Some("response_format".to_owned()),
            ..ApiError::from(e)
        })
    }

    fn compile_with(&self, compiler: &ConstraintCompiler) -> pixtral::Result<Constraint> {
        match self {
            Self::JsonSchema { json_schema } => match &json_schema.schema {
                Some(schema) => compiler.json_schema(schema),
                None => compiler.json_object(),
            },
            Self::Regex { pattern } => compiler.regex(pattern),
            Self::Grammar { grammar } => compiler.lark(grammar),
            Self::Text | Self::JsonObject => compiler.json_object(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_or_incomplete_format_is_refused() {
        let read = |format| Format::read(&json!({"response_format": format}));
        assert!(matches!(read(json!(null)), Ok(Format::Text)));
        assert!(matches!(
            read(json!({"type": "json_object"})),
            Ok(Format::JsonObject)
        ));
        for format in [
            json!("json"),
            json!({}),
            json!({"type": "xml"}),
            json!({"type": "json_schema"}),
            json!({"type": "regex", "pattern": 1}),
        ] {
            let e = read(format.clone()).unwrap_err();
            assert_eq!(e.status.as_u16(), 400, "{format}");
            assert!(e.param.unwrap().starts_with("response_format"));
        }
    }
}
