//! Random JSON schemas and regular expressions, bounded so that even an answer drawn at random
//! comes to an end.

use proptest::{prelude::*, sample, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};

/// `n` schemas, always the same.
pub fn schemas(n: usize) -> Vec<Value> {
    examples(prop_oneof![4 => schema(), 1 => leaf().prop_map(list)], n)
}

/// `n` regular expressions, always the same.
pub fn regexes(n: usize) -> Vec<String> {
    examples(regex(), n)
}

fn examples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, n: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    let example = |_| strategy.new_tree(&mut runner).unwrap().current();
    (0..n).map(example).collect()
}

fn leaf() -> BoxedStrategy<Value> {
    let values = vec![
        json!(null),
        json!(true),
        json!(3),
        json!(-2.5),
        json!(""),
        json!("a red circle"),
        json!("ü\n\"☃\\😀\u{1}"),
        json!([1, [2]]),
        json!({"a": {"b": []}}),
    ];
    let patterns = vec![
        "^[A-Z]{2}-[0-9]{3}$",
        "^(yes|no|perhaps)$",
        "^[äöü☃😀]{1,4}$",
        "^a{1,6}b?$",
    ];
    let value = sample::select(values.clone());
    prop_oneof![
        Just(json!({"type": "null"})),
        Just(json!({"type": "boolean"})),
        (-50i64..50, 0i64..1000).prop_map(
            |(min, span)| json!({"type": "integer", "minimum": min, "maximum": min + span})
        ),
        (2i64..9).prop_map(
            |n| json!({"type": "integer", "minimum": 0, "maximum": 500, "multipleOf": n})
        ),
        (-5i64..5, 1i64..100).prop_map(
            |(min, span)| json!({"type": "number", "minimum": min, "exclusiveMaximum": min + span})
        ),
        (0usize..4, 0usize..8).prop_map(
            |(min, more)| json!({"type": "string", "minLength": min, "maxLength": min + more})
        ),
        sample::select(patterns).prop_map(|pattern| json!({"type": "string", "pattern": pattern})),
        sample::select(vec!["uuid", "ipv4", "ipv6"])
            .prop_map(|format| json!({"type": "string", "format": format})),
        sample::subsequence(values, 1..5).prop_map(|values| json!({"enum": values})),
        value.prop_map(|value| json!({"const": value})),
    ]
    .boxed()
}

fn schema() -> BoxedStrategy<Value> {
    let names = vec![
        "a",
        "name",
        "größe",
        "a b",
        "\"q\"",
        "x\\y",
        "☃",
        "total_amount",
    ];
    let name = sample::select(names);
    let tree = leaf().prop_recursive(3, 12, 4, move |inner| {
        let property = (name.clone(), inner.clone(), any::<bool>());
        let several = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (inner, 0usize..3, 0usize..3).prop_map(|(items, min, more)| {
                json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more})
            }),
            several.clone().prop_map(|items| {
                json!({"type": "array", "minItems": items.len(), "prefixItems": items, "items": false})
            }),
            several.prop_map(|options| json!({"anyOf": options})),
            prop::collection::vec(property, 0..5).prop_map(object),
        ]
    });
    tree.boxed()
}

fn object(properties: Vec<(&str, Value, bool)>) -> Value {
    let required: Vec<&str> = properties
        .iter()
        .filter_map(|&(name, _, required)| required.then_some(name))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    let properties: serde_json::Map<String, Value> = properties
        .into_iter()
        .map(|(name, schema, _)| (name.to_owned(), schema))
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A schema that refers to itself.
fn list(item: Value) -> Value {
    let mut node = object(vec![
        ("value", item, true),
        (
            "next",
            json!({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}),
            true,
        ),
    ]);
    node["description"] = json!("an item and those after it");
    json!({"$ref": "#/$defs/node", "$defs": {"node": node}})
}

fn regex() -> BoxedStrategy<String> {
    let atoms = vec![
        "a",
        "red ",
        "ü",
        "☃",
        r"\d",
        r"\.",
        "[a-f]",
        "[^a-z\\n]",
        "[äöü😀]",
        r"\w",
        "/",
        "\"",
    ];
    let tree = sample::select(atoms)
        .prop_map(str::to_owned)
        .prop_recursive(4, 16, 4, |inner| {
            let several = prop::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                several.clone().prop_map(|parts| parts.concat()),
                several.prop_map(|options| format!("({})", options.join("|"))),
                (inner, 0usize..3, 1usize..3)
                    .prop_map(|(part, min, more)| format!("({part}){{{min},{}}}", min + more)),
            ]
        });
    tree.boxed()
}
