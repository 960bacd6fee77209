//! Checks that a tool's parameters are a JSON schema of draft 7.
//!
//! The rules are those of the draft's meta-schema (json-schema.org/draft-07/schema), keyword by
//! keyword; keywords it does not know are allowed. They are written out here since the validators
//! of whole documents that exist as crates bring along dozens of others for what is one table.

use super::fields::found;
use crate::{Error, ErrorKind, Result};
use serde_json::{Map, Value};
use std::collections::HashSet;

const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// What the value of a keyword must be.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// A schema.
    Schema,
    /// A list of schemas, at least one.
    Schemas,
    /// A schema or a list of them.
    SchemaOrSchemas,
    /// An object of schemas.
    NamedSchemas,
    /// An object of schemas named by regular expressions.
    PatternSchemas,
    /// An object of schemas or lists of different names.
    Dependencies,
    /// A list of different names.
    Names,
    /// A type or a list of different types.
    Types,
    Text,
    Pattern,
    Flag,
    Number,
    Positive,
    /// A whole number, 0 or more.
    Count,
    List,
}

fn rule(keyword: &str) -> Option<Rule> {
    Some(match keyword {
        "additionalItems"
        | "additionalProperties"
        | "contains"
        | "propertyNames"
        | "if"
        | "then"
        | "else"
        | "not" => Rule::Schema,
        "allOf" | "anyOf" | "oneOf" => Rule::Schemas,
        "items" => Rule::SchemaOrSchemas,
        "properties" | "definitions" => Rule::NamedSchemas,
        "patternProperties" => Rule::PatternSchemas,
        "dependencies" => Rule::Dependencies,
        "required" => Rule::Names,
        "type" => Rule::Types,
        "$id" | "$schema" | "$ref" | "$comment" | "title" | "description" | "format"
        | "contentMediaType" | "contentEncoding" => Rule::Text,
        "pattern" => Rule::Pattern,
        "readOnly" | "uniqueItems" => Rule::Flag,
        "maximum" | "exclusiveMaximum" | "minimum" | "exclusiveMinimum" => Rule::Number,
        "multipleOf" => Rule::Positive,
        "maxLength" | "minLength" | "maxItems" | "minItems" | "maxProperties" | "minProperties" => {
            Rule::Count
        }
        "enum" | "examples" => Rule::List,
        _ => return None,
    })
}

/// Checks the schema found at `path`. Errors name the part that is wrong.
pub(super) fn check(path: &str, schema: &Map<String, Value>) -> Result<()> {
    schema.iter().try_for_each(|(keyword, value)| {
        let path = format!("{path}.{keyword}");
        rule(keyword).map_or(Ok(()), |rule| check_value(&path, value, rule))
    })
}

fn check_value(path: &str, value: &Value, rule: Rule) -> Result<()> {
    match rule {
        Rule::Schema => check_schema(path, value),
        Rule::Schemas => check_schemas(path, value),
        Rule::SchemaOrSchemas if value.is_array() => check_schemas(path, value),
        Rule::SchemaOrSchemas => check_schema(path, value),
        Rule::NamedSchemas => each(path, value, check_schema),
        Rule::PatternSchemas => {
            each(path, value, check_schema).and_then(|()| check_pattern_names(path, value))
        }
        Rule::Dependencies => each(path, value, |path, value| match value {
            Value::Array(_) => check_names(path, value),
            _ => check_schema(path, value),
        }),
        Rule::Names => check_names(path, value),
        Rule::Types => check_types(path, value),
        Rule::Text => require(path, value, value.is_string(), "a string"),
        Rule::Pattern => {
            let good = value.as_str().is_some_and(is_pattern);
            require(path, value, good, "a regular expression")
        }
        Rule::Flag => require(path, value, value.is_boolean(), "true or false"),
        Rule::Number => require(path, value, value.is_number(), "a number"),
        Rule::Positive => {
            let good = value.as_f64().is_some_and(|n| n > 0.0);
            require(path, value, good, "a number above 0")
        }
        Rule::Count => {
            let good = value.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0);
            require(path, value, good, "a whole number, 0 or more")
        }
        Rule::List => require(path, value, value.is_array(), "a list"),
    }
}

fn check_schema(path: &str, value: &Value) -> Result<()> {
    match value {
        Value::Object(schema) => check(path, schema),
        _ => require(path, value, value.is_boolean(), "an object, true or false"),
    }
}

fn check_schemas(path: &str, value: &Value) -> Result<()> {
    match value.as_array() {
        Some(list) if !list.is_empty() => (0..)
            .zip(list)
            .try_for_each(|(i, schema): (usize, _)| check_schema(&format!("{path}[{i}]"), schema)),
        _ => Err(unexpected(path, value, "a list of schemas")),
    }
}

/// Applies `check` to every value of an object.
fn each(path: &str, value: &Value, check: impl Fn(&str, &Value) -> Result<()>) -> Result<()> {
    match value {
        Value::Object(map) => map
            .iter()
            .try_for_each(|(name, value)| check(&format!("{path}.{name}"), value)),
        _ => Err(unexpected(path, value, "an object")),
    }
}

fn check_pattern_names(path: &str, value: &Value) -> Result<()> {
    let mut names = value.as_object().into_iter().flat_map(Map::keys);
    match names.find(|name| !is_pattern(name)) {
        None => Ok(()),
        Some(name) => Err(unexpected(
            path,
            &Value::from(name.as_str()),
            "names that are regular expressions",
        )),
    }
}

fn check_names(path: &str, value: &Value) -> Result<()> {
    let good = different(value, |_| true);
    require(path, value, good, "a list of different strings")
}

fn check_types(path: &str, value: &Value) -> Result<()> {
    let known = |name: &str| TYPES.contains(&name);
    let good = match value {
        Value::String(name) => known(name),
        Value::Array(names) => !names.is_empty() && different(value, known),
        _ => false,
    };
    let expected = format!("one of {} or a list of them", TYPES.join(", "));
    require(path, value, good, &expected)
}

/// Whether `value` is a list of `allowed` strings of which no two are the same.
fn different(value: &Value, allowed: impl Fn(&str) -> bool) -> bool {
    let mut seen = HashSet::new();
    value.as_array().is_some_and(|list| {
        list.iter().all(|item| {
            item.as_str()
                .is_some_and(|name| allowed(name) && seen.insert(name))
        })
    })
}

/// Whether the structure (groups, classes, repetitions) of `pattern` is that of a regular
/// expression. Dialects differ in what they allow within it.
fn is_pattern(pattern: &str) -> bool {
    fancy_regex::Expr::parse_tree(pattern).is_ok()
}

fn require(path: &str, value: &Value, good: bool, expected: &str) -> Result<()> {
    match good {
        true => Ok(()),
        false => Err(unexpected(path, value, expected)),
    }
}

fn unexpected(path: &str, value: &Value, expected: &str) -> Error {
    Error::new(
        ErrorKind::InvalidToolSchema,
        format!(
            "{path}: expected {expected}, found {}; parameters must be a JSON schema (draft 7)",
            found(value)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(schema: Value) -> Result<()> {
        check("parameters", schema.as_object().unwrap())
    }

    #[test]
    fn schemas_in_use_are_accepted() {
        for schema in [
            json!({}),
            json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": true},
                   "required": ["a"], "additionalProperties": false}),
            json!({"items": [{"type": "integer"}, {}], "minItems": 1.0, "enum": [], "default": 1}),
            json!({"anyOf": [{"$ref": "#/definitions/x"}], "definitions": {"x": {"const": null}}}),
            json!({"dependencies": {"a": ["b"], "b": {"not": {}}}, "multipleOf": 0.5}),
            json!({"pattern": "^(?=a)[\\w-]+$", "patternProperties": {"^x": {}}}),
            json!({"x-own": 1, "writeOnly": 1, "$defs": 1}),
        ] {
            checked(schema.clone()).unwrap_or_else(|e| panic!("{schema}: {e}"));
        }
    }

    #[test]
    fn each_rule_of_the_meta_schema_is_enforced() {
        for (schema, part) in [
            (json!({"type": "nope"}), "parameters.type"),
            (json!({"type": []}), "parameters.type"),
            (json!({"type": ["string", "string"]}), "parameters.type"),
            (json!({"required": true}), "parameters.required"),
            (json!({"required": ["a", "a"]}), "parameters.required"),
            (json!({"required": [1]}), "parameters.required"),
            (json!({"minLength": -1}), "parameters.minLength"),
            (json!({"minLength": 1.5}), "parameters.minLength"),
            (json!({"multipleOf": 0}), "parameters.multipleOf"),
            (json!({"maximum": "1"}), "parameters.maximum"),
            (
                json!({"exclusiveMaximum": true}),
                "parameters.exclusiveMaximum",
            ),
            (json!({"items": []}), "parameters.items"),
            (json!({"items": [{"type": 1}]}), "parameters.items[0].type"),
            (json!({"anyOf": []}), "parameters.anyOf"),
            (json!({"properties": []}), "parameters.properties"),
            (json!({"properties": {"a": 1}}), "parameters.properties.a"),
            (
                json!({"properties": {"a": {"title": 1}}}),
                "parameters.properties.a.title",
            ),
            (
                json!({"dependencies": {"a": 1}}),
                "parameters.dependencies.a",
            ),
            (
                json!({"dependencies": {"a": [1]}}),
                "parameters.dependencies.a",
            ),
            (json!({"pattern": "("}), "parameters.pattern"),
            (json!({"patternProperties": {"(": {}}}), "\"(\""),
            (json!({"if": 1}), "parameters.if"),
            (json!({"uniqueItems": 1}), "parameters.uniqueItems"),
            (json!({"enum": 1}), "parameters.enum"),
        ] {
            let e = checked(schema.clone()).expect_err(part);
            assert_eq!(e.kind(), ErrorKind::InvalidToolSchema, "{schema}");
            assert!(e.message().contains(part), "{schema}: {e}");
        }
    }
}
