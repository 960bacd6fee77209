//! Token ids and texts, exactly those of mistral_common.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use pixtral::{
    gguf::Metadata,
    tokenizer::{StreamDecoder, Tokenizer},
};

use crate::support::{
    cases, full_tokenizer, ids, json, read, read_plain_or_gz, root, section, text,
};

/// The JSON files of the section as (file name, content, its tokenizer).
fn files() -> Vec<(String, serde_json::Value, Tokenizer)> {
    let Some(folder) = section("tokenizer") else {
        return Vec::new();
    };
    let mut loaded: HashMap<String, Tokenizer> = HashMap::new();
    let files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let file = json(&path);
            let name = text(&file["tokenizer"]).to_owned();
            let tokenizer = loaded.entry(name.clone()).or_insert_with(|| {
                Tokenizer::from_tekken(&name, &read_plain_or_gz(&name)).unwrap()
            });
            let path = path.file_name().unwrap().to_string_lossy().into_owned();
            (path, file, tokenizer.clone())
        })
        .collect();
    assert!(!files.is_empty(), "{}: no JSON file", folder.display());
    files
}

#[test]
fn every_text_gives_the_reference_ids_and_comes_back() {
    for (name, file, tokenizer) in files() {
        for case in cases(&file).iter().filter(|c| c.get("bytes_hex").is_none()) {
            let (text, expected) = (text(&case["text"]), ids(&case["ids"]));
            assert_eq!(tokenizer.encode(text), expected, "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&expected), text, "{name}");
        }
    }
}

#[test]
fn every_list_of_ids_gives_the_reference_text_and_bytes() {
    for (name, file, tokenizer) in files() {
        for case in cases(&file).iter().filter(|c| c.get("bytes_hex").is_some()) {
            let ids = ids(&case["ids"]);
            let expected = text(&case["text"]);
            assert_eq!(tokenizer.decode(&ids), expected, "{name}: {ids:?}");
            assert_eq!(
                tokenizer.decode_with_special(&ids),
                text(&case["text_with_special"]),
                "{name}: {ids:?}"
            );
            let hex: String = ids
                .iter()
                .filter_map(|&id| tokenizer.token_bytes(id))
                .flatten()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(hex, text(&case["bytes_hex"]), "{name}: {ids:?}");

            let mut stream = StreamDecoder::new(&tokenizer);
            let mut streamed: String = ids.iter().map(|&id| stream.push(id)).collect();
            streamed.push_str(&stream.finish());
            assert_eq!(streamed, expected, "{name}: {ids:?} one by one");
        }
    }
}

#[test]
fn the_hugging_face_file_is_the_same_tokenizer() {
    let folder = root().join("checkpoint/hf");
    if section("checkpoint").is_none() || !folder.is_dir() {
        return;
    }
    let hf = Tokenizer::from_hf("hf", &read(folder.join("tokenizer.json"))).unwrap();
    let mistral = root().join("checkpoint/mistral/tekken.json");
    let mistral = Tokenizer::from_tekken("mistral", &read(mistral)).unwrap();
    assert_eq!(hf.vocab_size(), mistral.vocab_size());
    assert_eq!(hf.special_count(), mistral.special_count());
    for id in 0..mistral.vocab_size() {
        assert_eq!(hf.token_bytes(id), mistral.token_bytes(id), "id {id}");
        assert_eq!(hf.special_name(id), mistral.special_name(id), "id {id}");
    }
    for (name, file, _) in files() {
        for case in cases(&file) {
            let text = text(&case["text"]);
            assert_eq!(hf.encode(text), mistral.encode(text), "{name}: {text:?}");
        }
    }
}

/// The vocabulary's size decides the shapes that a model must have, so it may not drift.
#[test]
fn the_full_vocabulary_is_cut_as_the_reference_cuts_it() {
    let json = full_tokenizer();
    let tokenizer = Tokenizer::from_tekken("full", &json).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        u64::from(tokenizer.vocab_size()),
        file["config"]["default_vocab_size"].as_u64().unwrap()
    );
    assert_eq!(tokenizer.special("[INST]"), Some(3));
    assert_eq!(tokenizer.special_name(tokenizer.eos()), Some("</s>"));
    let first = tokenizer.special_count();
    assert!(tokenizer.is_special(first - 1) && !tokenizer.is_special(first));
    assert_eq!(tokenizer.token_bytes(tokenizer.vocab_size()), None);
}

/// A megabyte of anything must not take a quadratic time (hours) or exhaust the stack.
#[test]
fn hostile_texts_are_encoded_in_linear_time() {
    let tokenizer = Tokenizer::from_tekken("full", &full_tokenizer()).unwrap();
    for unit in [
        "a",
        "A",
        "aA",
        " ",
        "\r\n",
        "\n ",
        " \n",
        "\t ",
        "/",
        "!\n",
        "\u{301}",
        "中",
        "中A",
        "A中",
        "١",
        "😀",
        "\u{0}",
        "\u{a0}",
        "ab ",
        "=",
        "<s>",
        "é",
        "\u{1f3fb}",
        "a\u{301} ",
    ] {
        let text = format!("\n{}x", unit.repeat((1 << 20) / unit.len()));
        let start = Instant::now();
        let ids = tokenizer.encode(&text);
        let elapsed = start.elapsed();
        println!("{unit:?} {} ids in {elapsed:.1?}", ids.len());
        assert!(elapsed < Duration::from_secs(20), "{unit:?}: {elapsed:?}");
        assert!(tokenizer.decode(&ids) == text, "{unit:?}");
    }
}

#[test]
fn metadata_keeps_the_tokenizer_whichever_file_it_came_from() {
    let Some(folder) = section("checkpoint") else {
        return;
    };
    let metadata_of = |tokenizer: &Tokenizer| {
        let mut metadata = Metadata::new();
        tokenizer.to_metadata(&mut metadata);
        metadata
    };
    let tekken = read(folder.join("mistral/tekken.json"));
    let mistral = metadata_of(&Tokenizer::from_tekken("mistral", &tekken).unwrap());
    let hf = read(folder.join("hf/tokenizer.json"));
    let hf = metadata_of(&Tokenizer::from_hf("hf", &hf).unwrap());
    assert_eq!(hf, mistral);

    let full = metadata_of(&Tokenizer::from_tekken("full", &full_tokenizer()).unwrap());
    let start = Instant::now();
    let again = Tokenizer::from_metadata(&full).unwrap();
    println!("from_metadata took {:.1?}", start.elapsed());
    assert_eq!(metadata_of(&again), full);
    for (name, file, tokenizer) in files() {
        if tokenizer.vocab_size() == again.vocab_size() {
            for case in cases(&file) {
                let text = text(&case["text"]);
                assert_eq!(
                    again.encode(text),
                    tokenizer.encode(text),
                    "{name}: {text:?}"
                );
            }
        }
    }
}
