//! Finding and reading the golden set's files.

mod hf_checkpoint;

pub use hf_checkpoint::hf_checkpoint;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::read::GzDecoder;
use pixtral::{
    Result,
    preprocess::{PreparedImage, Preprocessor},
};
use serde_json::Value;
use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

const VARIABLE: &str = "PIXTRAL_GOLDEN";

/// Folder of the golden set.
pub fn root() -> PathBuf {
    env::var_os(VARIABLE).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden"),
        PathBuf::from,
    )
}

/// Folder of one section, such as `tokenizer`. A set named by the environment may lack sections,
/// which are then passed over; the committed one may not.
pub fn section(name: &str) -> Option<PathBuf> {
    let path = root().join(name);
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        env::var_os(VARIABLE).is_some(),
        "{}: the committed golden set is incomplete",
        path.display()
    );
    println!("{}: not in this set, passed over", path.display());
    None
}

/// Content of a file.
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A JSON file.
pub fn json(path: impl AsRef<Path>) -> Value {
    let path = path.as_ref();
    serde_json::from_slice(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Content of the file `name` of the set, which may be stored as `name.gz`.
pub fn read_plain_or_gz(name: &str) -> Vec<u8> {
    let plain = root().join(name);
    if plain.exists() {
        return read(plain);
    }
    let packed = root().join(format!("{name}.gz"));
    let mut content = Vec::new();
    GzDecoder::new(&read(&packed)[..])
        .read_to_end(&mut content)
        .unwrap_or_else(|e| panic!("{}: {e}", packed.display()));
    content
}

/// Content of the real model's tokenizer, the one `tekken*.json` (or `.json.gz`) of the set.
pub fn full_tokenizer() -> Vec<u8> {
    let root = root();
    let names: Vec<String> = fs::read_dir(&root)
        .unwrap_or_else(|e| panic!("{}: {e}", root.display()))
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|name| name.strip_suffix(".gz").map_or(name.clone(), str::to_owned))
        .filter(|name| name.starts_with("tekken") && name.ends_with(".json"))
        .collect();
    let [name] = &names[..] else {
        panic!(
            "{}: expected one tekken*.json, found {names:?}",
            root.display()
        );
    };
    read_plain_or_gz(name)
}

/// The picture that a request names: a path relative to the set's folder, or a data URL.
pub fn picture(preprocessor: &Preprocessor, url: &str) -> Result<Arc<PreparedImage>> {
    let image = match url.split_once(";base64,") {
        Some((_, data)) => {
            let bytes = BASE64.decode(data).expect("the data URL is in base64");
            preprocessor.prepare("data URL", &bytes)
        }
        None => preprocessor.prepare_file(&root().join(url)),
    };
    image.map(Arc::new)
}

/// The `cases` of a JSON file; there is at least one.
pub fn cases(file: &Value) -> &Vec<Value> {
    let cases = file["cases"].as_array().expect("`cases` is a list");
    assert!(!cases.is_empty(), "`cases` is empty");
    cases
}

/// A list of token ids.
pub fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("a list of ids")
}

/// A string.
pub fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
