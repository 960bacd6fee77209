//! The JSON schema that makes a model call tools.
//!
//! It knows how the template writes calls, and nothing of constraints, which keep an answer to it.

use super::Tool;
use serde_json::{Map, Value, json};

/// The JSON schema of at least one call of `tools`, at most `most` if that is given, with white space as
/// the template has it.
pub fn calls_schema(tools: &[Tool], most: Option<usize>) -> Value {
    let mut definitions = Map::new();
    let calls: Vec<Value> = (0..)
        .zip(tools)
        .map(|(i, tool): (usize, _)| {
            let place = format!("tool{i}");
            let mut parameters = tool.parameters.clone();
            parameters.entry("type").or_insert_with(|| json!("object"));
            let mut parameters = Value::Object(parameters);
            move_references(&mut parameters, &format!("#/$defs/{place}"));
            definitions.insert(place.clone(), parameters);
            json!({
                "type": "object",
                "properties": {
                    "name": {"const": tool.name},
                    "arguments": {"$ref": format!("#/$defs/{place}")},
                },
                "required": ["name", "arguments"],
                "additionalProperties": false,
            })
        })
        .collect();
    let mut schema = json!({
        "type": "array",
        "items": {"anyOf": calls},
        "minItems": 1,
        "$defs": definitions,
        "x-guidance": {
            "item_separator": ", ",
            "key_separator": ": ",
            "whitespace_flexible": false,
        },
    });
    if let Some(most) = most {
        schema["maxItems"] = json!(most);
    }
    schema
}

/// References within a schema that becomes the part `place` of another one.
fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(rest) = target.strip_prefix('#') {
                            *target = format!("{place}{rest}");
                        }
                    }
                    other => move_references(other, place),
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| move_references(item, place)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_within_parameters_stay_within_them() {
        let parameters = json!({
            "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#"}, "$ref": {"type": "string"}},
            "$defs": {"A": {"type": "integer"}},
        });
        let tool = Tool {
            name: "f".into(),
            description: String::new(),
            parameters: parameters.as_object().unwrap().clone(),
        };
        let schema = calls_schema(&[tool.clone(), tool], Some(1));
        let properties = &schema["$defs"]["tool1"]["properties"];
        assert_eq!(properties["a"]["$ref"], "#/$defs/tool1/$defs/A");
        assert_eq!(properties["b"]["$ref"], "#/$defs/tool1");
        assert_eq!(schema["maxItems"], 1);
    }
}
