use super::{guide::NOTHING, *};
use crate::{
    ErrorKind,
    tokenizer::{TokenId, Tokenizer},
};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The demonstration model's tokenizer, of bytes and English words.
static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let file = include_bytes!("../../tools/pixtral/demo/tekken.json");
    Tokenizer::from_tekken("tekken.json", file).unwrap()
});

static COMPILER: LazyLock<ConstraintCompiler> =
    LazyLock::new(|| ConstraintCompiler::new(&TOKENIZER).unwrap());

fn guide(constraint: crate::Result<Constraint>) -> Guide {
    constraint.unwrap().guide(&TOKENIZER).unwrap()
}

/// Whether an answer can be `text`, token by token, and end there.
fn accepts(constraint: crate::Result<Constraint>, text: &str) -> bool {
    let mut guide = guide(constraint);
    for id in TOKENIZER.encode(text) {
        if guide.is_complete() || !guide.allowed().unwrap().contains(id) {
            return false;
        }
        guide.take(id).unwrap();
    }
    guide.is_complete() || guide.allowed().unwrap().contains(TOKENIZER.eos())
}

#[test]
fn json_of_a_schema() {
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "n": {"type": "integer", "minimum": 3}},
        "required": ["name"],
        "additionalProperties": false,
    });
    let json = |text: &str| accepts(COMPILER.json_schema(&schema), text);
    assert!(json(r#"{"name": "a red circle", "n": 12}"#));
    assert!(json("{\"name\":\"né\\n\\\"☃😀\"}"));
    assert!(json("{\n    \"name\": \"\",\n    \"n\": 3\n}"));
    assert!(!json(r#"{"name": "a", "n": 2}"#));
    assert!(!json(r#"{"n": 3}"#));
    assert!(!json(r#"{"name": "a", "m": 3}"#));
    assert!(!json(r#"{"name": "a""#));
    let spaces = " ".repeat(65);
    assert!(!json(&format!("{{{spaces}\"name\": \"a\"}}")));
}

#[test]
fn any_json_object() {
    let object = |text: &str| accepts(COMPILER.json_object(), text);
    assert!(object(r#"{}"#));
    assert!(object(r#"{"a": [1, {"b": null}], "ü": true}"#));
    assert!(!object("[]"));
    assert!(!object("{} "), "nothing follows an object but its end");
}

#[test]
fn a_regular_expression_describes_the_whole_answer() {
    let yes_or_no = |text: &str| accepts(COMPILER.regex("(yes|no), [0-9]{2}/[0-9]"), text);
    assert!(yes_or_no("yes, 12/3"));
    assert!(!yes_or_no("yes, 12/34"));
    assert!(!yes_or_no("oh yes, 12/3"));
    assert!(accepts(COMPILER.regex(""), ""));
    assert!(accepts(COMPILER.regex("[^a]*"), "größer ☃"));
}

#[test]
fn a_grammar() {
    let grammar = r#"
        start: sum
        sum: NUMBER ("+" NUMBER)*
        NUMBER: /[0-9]+/
    "#;
    assert!(accepts(COMPILER.lark(grammar), "12+3+45"));
    assert!(!accepts(COMPILER.lark(grammar), "12+"));
}

#[test]
fn what_is_certain_is_known_in_the_tokens_that_text_has() {
    let text = "The picture shows a red circle.";
    let ids = TOKENIZER.encode(text);
    let mut guide = guide(COMPILER.regex(&regex::escape(text)));
    let forced = guide.forced().clone();
    // How the last word is encoded depends on what follows.
    assert!(forced.len() >= ids.len() - 3, "{forced:?} of {ids:?}");
    assert!(ids.starts_with(&Vec::from(forced)));
    for id in ids {
        guide.take(id).unwrap();
    }
    assert!(guide.is_complete());
}

#[test]
fn a_certain_beginning_of_a_word_is_written_as_the_word_is() {
    let words = "(circle|circles|circular|two circles|two triangles|two, triangular)";
    for text in ["circle", "circles", "two triangles", "two, triangular"] {
        assert!(accepts(COMPILER.regex(words), text), "{text}");
    }
}

#[test]
fn nothing_is_certain_of_a_word_that_was_begun_in_unusual_tokens() {
    let byte = |byte: u8| TOKENIZER.special_count() + u32::from(byte);
    let mut guide = guide(COMPILER.regex("(,| )circles, squares"));
    assert_ne!(TOKENIZER.encode(" circles")[0], byte(b' '));
    guide.take(byte(b' ')).unwrap();
    assert!(guide.forced().is_empty(), "{:?}", guide.forced());
    // From the next word on it is as usual.
    for letter in b"circles" {
        guide.take(byte(*letter)).unwrap();
    }
    let next = TOKENIZER.encode(",");
    assert_eq!(Vec::from(guide.forced().clone()), next);
}

#[test]
fn a_draft_is_as_long_as_the_constraint_allows() {
    let mut guide = guide(COMPILER.regex("[a-z ]*"));
    let draft = TOKENIZER.encode("a red circle, a blue one");
    let allowed = TOKENIZER.encode("a red circle").len();
    assert_eq!(guide.passes(&draft).unwrap(), allowed);
    assert_eq!(guide.passes(&draft[..2]).unwrap(), 2);
    let end = [draft[0], TOKENIZER.eos(), draft[1]];
    assert_eq!(guide.passes(&end).unwrap(), 1);
    // Looking does not move.
    guide.take(draft[0]).unwrap();
}

#[test]
fn special_tokens_come_from_no_constraint_but_the_end() {
    let inst = TOKENIZER.special("[INST]").unwrap();
    let special = |guide: &mut Guide| -> Vec<TokenId> {
        let allowed = guide.allowed().unwrap();
        (0..TOKENIZER.special_count())
            .filter(|&id| allowed.contains(id))
            .collect()
    };
    let mut anything = guide(COMPILER.regex(r"(?s:.)*"));
    assert_eq!(special(&mut anything), [TOKENIZER.eos()]);
    let mut any_token = guide(COMPILER.lark("start: <[*]> \"x\""));
    assert!(special(&mut any_token).is_empty());
    // Their names are text like any other.
    assert!(accepts(COMPILER.regex(r"\[INST\]"), "[INST]"));
    let demanded = |grammar: String| {
        let mut guide = guide(COMPILER.lark(&grammar));
        guide.take(TOKENIZER.encode("a")[0]).unwrap();
        guide
    };
    let mut one_way = demanded(format!("start: \"a\" (<[{inst}]> | \"b\")"));
    assert!(special(&mut one_way).is_empty());
    let mut only_way = demanded(format!("start: \"a\" <[{inst}]>"));
    let e = only_way.allowed().err().unwrap();
    assert!(e.message().ends_with(NOTHING), "{e}");
}

#[test]
fn a_dead_end_is_an_error_that_says_where() {
    let mut guide = guide(COMPILER.lark("start: \"a\" X\nX: /[a-c]/ & /[d-f]/"));
    let a = TOKENIZER.encode("a")[0];
    let e = guide.take(a).and_then(|()| guide.allowed()).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    assert!(e.message().contains("after 1 tokens"), "{e}");
    assert!(e.message().ends_with(NOTHING), "{e}");
}

#[test]
fn what_cannot_be_a_constraint_is_refused_in_one_sentence() {
    let schema = |schema: Value| COMPILER.json_schema(&schema);
    let mut deep = json!({});
    for _ in 0..200 {
        deep = json!({"items": deep});
    }
    let nested = ["(".repeat(10_000), ")".repeat(10_000)].concat();
    for (constraint, expected) in [
        (schema(json!([])), "expected an object"),
        (schema(json!({"type": "strin"})), "strin"),
        (
            schema(json!({"uniqueItems": true, "type": "array"})),
            "uniqueItems",
        ),
        (
            schema(json!({"type": "integer", "minimum": 3, "maximum": 2})),
            "minimum (3)",
        ),
        (
            schema(json!({"properties": {"a": {"pattern": "("}}})),
            "unclosed group",
        ),
        (
            schema(json!({"$ref": "https://example.org/a"})),
            "example.org",
        ),
        (schema(deep), "nested more than 128 deep"),
        (COMPILER.regex("(a"), "unclosed group"),
        (COMPILER.regex("a(?=b)"), "look-around"),
        (COMPILER.regex(&nested), "nested parentheses"),
        (COMPILER.lark("start: b"), "unknown name: \"b\""),
        (COMPILER.lark(&format!("start: {nested}")), "nested"),
        (COMPILER.lark("start: <[INST]>"), ""),
    ] {
        let e = constraint.err().unwrap();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        assert!(e.message().contains(expected), "{e}");
        assert!(
            e.message().contains("cannot be used as a constraint: "),
            "{e}"
        );
        assert!(
            !e.message().contains('\n') && e.message().len() < 300,
            "{e}"
        );
    }
}

#[test]
fn a_constraint_holds_for_one_tokenizer() {
    let file = include_bytes!("../../tools/pixtral/demo/tekken.json");
    let other = Tokenizer::from_tekken("tekken.json", file).unwrap();
    let constraint = COMPILER.json_object().unwrap();
    assert!(constraint.guide(&TOKENIZER.clone()).is_ok());
    let e = constraint.guide(&other).err().unwrap();
    assert!(e.message().contains("another model's tokenizer"), "{e}");
}
