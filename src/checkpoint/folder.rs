//! Finds out which layout a folder holds and which of its files make up the checkpoint. Looks at
//! file names and at the index of shards, never at weights.

use super::Format;
use super::fields::invalid;
use crate::tokenizer::Tokenizer;
use crate::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files of a checkpoint.
#[derive(Debug)]
pub(super) struct Layout {
    pub format: Format,
    /// params.json or config.json.
    pub config: PathBuf,
    /// The safetensors files, each once.
    pub shards: Vec<PathBuf>,
    /// The index of shards, if it was used.
    pub index: Option<Index>,
    pub vocabulary: Option<Vocabulary>,
    /// What was found and left aside.
    pub notes: Vec<String>,
}

/// The index of shards.
#[derive(Debug)]
pub(super) struct Index {
    pub path: PathBuf,
    /// Tensor name to file name.
    pub weight_map: HashMap<String, String>,
}

/// The tokenizer's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Vocabulary {
    Tekken(PathBuf),
    HuggingFace(PathBuf),
}

impl Vocabulary {
    pub fn path(&self) -> &Path {
        match self {
            Vocabulary::Tekken(path) | Vocabulary::HuggingFace(path) => path,
        }
    }

    /// Reads the tokenizer.
    pub fn load(&self) -> Result<Tokenizer> {
        let path = self.path();
        let json = fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        let name = path.display().to_string();
        match self {
            Vocabulary::Tekken(_) => Tokenizer::from_tekken(&name, &json),
            Vocabulary::HuggingFace(_) => Tokenizer::from_hf(&name, &json),
        }
    }
}

/// File names of one layout.
struct Naming {
    format: Format,
    config: &'static str,
    /// What its safetensors files begin with.
    stem: &'static str,
}

const MISTRAL: Naming = Naming {
    format: Format::Mistral,
    config: "params.json",
    stem: "consolidated",
};
const HUGGING_FACE: Naming = Naming {
    format: Format::HuggingFace,
    config: "config.json",
    stem: "model",
};

impl Naming {
    fn is_in(&self, names: &BTreeSet<String>) -> bool {
        names.contains(self.config)
    }

    fn has_weights(&self, names: &BTreeSet<String>) -> bool {
        names
            .iter()
            .any(|name| name.starts_with(self.stem) && name.contains(".safetensors"))
    }
}

/// The checkpoint in the folder `path`, or in the folder of the file `path`.
pub(super) fn detect(path: &Path) -> Result<Layout> {
    let kind = fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
    let (folder, file) = if kind.is_dir() {
        (path, None)
    } else {
        refuse_gguf(path)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let name = path.file_name().and_then(|name| name.to_str());
        (folder.unwrap_or(Path::new(".")), name)
    };
    let names = file_names(folder)?;
    let mut notes = Vec::new();
    let naming = choose(folder, &names, file, &mut notes)?;
    let (shards, index) = shards(folder, &names, naming.stem, &mut notes)?;
    Ok(Layout {
        format: naming.format,
        config: folder.join(naming.config),
        shards,
        index,
        vocabulary: vocabulary(folder, &names),
        notes,
    })
}

fn refuse_gguf(path: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let mut file = fs::File::open(path).map_err(|e| Error::io(path, "read", e))?;
    if file.read_exact(&mut magic).is_ok() && &magic == b"GGUF" {
        return Err(invalid(format!(
            "{}: this is a GGUF file, expected the folder of a Mistral or Hugging Face checkpoint",
            path.display()
        )));
    }
    Ok(())
}

fn file_names(folder: &Path) -> Result<BTreeSet<String>> {
    let read = |e| Error::io(folder, "read", e);
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        // Names that are not UTF-8 belong to no layout.
        if let Ok(name) = entry.map_err(read)?.file_name().into_string() {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Which of the layouts to read: the one that `file` belongs to, else Mistral's if it is complete.
fn choose(
    folder: &Path,
    names: &BTreeSet<String>,
    file: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<&'static Naming> {
    let place = folder.display();
    let belongs = |naming: &Naming| {
        file.is_some_and(|file| file == naming.config || file.starts_with(naming.stem))
    };
    let (mistral, hf) = (MISTRAL.is_in(names), HUGGING_FACE.is_in(names));
    match (mistral, hf) {
        (false, false) => {
            let gguf = names.iter().find(|name| name.ends_with(".gguf"));
            let hint = match gguf {
                Some(name) => format!("; {name} in it is a GGUF file, not a checkpoint"),
                None => String::new(),
            };
            Err(invalid(format!(
                "{place}: not a checkpoint: there is neither params.json (Mistral) nor config.json \
                 (Hugging Face) in it{hint}"
            )))
        }
        (true, false) => Ok(&MISTRAL),
        (false, true) => Ok(&HUGGING_FACE),
        (true, true) => {
            let complete = MISTRAL.has_weights(names) || !HUGGING_FACE.has_weights(names);
            let (chosen, other) = if belongs(&HUGGING_FACE) || (!complete && !belongs(&MISTRAL)) {
                (&HUGGING_FACE, &MISTRAL)
            } else {
                (&MISTRAL, &HUGGING_FACE)
            };
            notes.push(format!(
                "{place}: holds both layouts: {} ({}) is read, {} ({}) is left aside",
                chosen.format, chosen.config, other.format, other.config
            ));
            Ok(chosen)
        }
    }
}

/// The safetensors files that begin with `stem`: a single file, else those named by an index, else
/// those numbered `-00001-of-00003` or `.00`.
fn shards(
    folder: &Path,
    names: &BTreeSet<String>,
    stem: &str,
    notes: &mut Vec<String>,
) -> Result<(Vec<PathBuf>, Option<Index>)> {
    let place = folder.display();
    let single = format!("{stem}.safetensors");
    let numbered: Vec<(&str, u32, u32)> = names
        .iter()
        .filter_map(|name| shard_number(name, stem).map(|(k, n)| (name.as_str(), k, n)))
        .collect();
    if names.contains(&single) {
        if let Some((name, ..)) = numbered.first() {
            notes.push(format!("{place}: {single} is read, {name} is left aside"));
        }
        return Ok((vec![folder.join(single)], None));
    }
    let index_name = format!("{stem}.safetensors.index.json");
    if names.contains(&index_name) {
        let index = Index::read(folder.join(index_name))?;
        let files: BTreeSet<&String> = index.weight_map.values().collect();
        // Being in `names` also means that it is a plain name, not a path to somewhere else.
        if let Some(missing) = files.iter().find(|file| !names.contains(**file)) {
            return Err(invalid(format!(
                "{place}: shard {missing} is missing, which {} names: download it",
                index.path.display()
            )));
        }
        let paths = files.into_iter().map(|file| folder.join(file)).collect();
        return Ok((paths, Some(index)));
    }
    let Some(&(first, _, count)) = numbered.first() else {
        let hint = match names
            .iter()
            .find(|name| name.ends_with(".bin") || name.ends_with(".pth"))
        {
            Some(name) => format!(" ({name} is a pickle, which is not read)"),
            None => String::new(),
        };
        return Err(invalid(format!(
            "{place}: there are no weights: expected {single} or its shards{hint}"
        )));
    };
    // Files without "-of-" do not say how many there are: the highest number decides.
    let count = match count {
        0 => numbered.iter().map(|(_, k, _)| k + 1).max().unwrap_or(1),
        count => count,
    };
    let found: BTreeSet<u32> = numbered.iter().map(|(_, k, _)| *k).collect();
    if let Some(missing) = (0..count).find(|k| !found.contains(k)) {
        return Err(invalid(format!(
            "{place}: shard {} of {count} is missing, as {first} shows: download it",
            missing + 1
        )));
    }
    if numbered.len() != count as usize {
        return Err(invalid(format!(
            "{place}: {} shards, but {first} is one of {count}: keep the files of one download only",
            numbered.len()
        )));
    }
    let paths = numbered
        .iter()
        .map(|(name, ..)| folder.join(name))
        .collect();
    Ok((paths, None))
}

/// The number of shard `name`, from 0, and how many there are (0 if the name does not say).
fn shard_number(name: &str, stem: &str) -> Option<(u32, u32)> {
    let middle = name.strip_prefix(stem)?.strip_suffix(".safetensors")?;
    let number = |text: &str| -> Option<u32> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // Six digits bound the search for a missing shard.
        (digits && text.len() <= 6).then(|| text.parse().ok())?
    };
    if let Some(digits) = middle.strip_prefix('.') {
        return Some((number(digits)?, 0));
    }
    let (k, n) = middle.strip_prefix('-')?.split_once("-of-")?;
    let (k, n) = (number(k)?, number(n)?);
    (1..=n).contains(&k).then(|| (k - 1, n))
}

impl Index {
    fn read(path: PathBuf) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            weight_map: HashMap<String, String>,
        }
        let bytes = fs::read(&path).map_err(|e| Error::io(&path, "read", e))?;
        let file: File = serde_json::from_slice(&bytes)
            .map_err(|e| invalid(format!("{}: not an index of shards: {e}", path.display())))?;
        if file.weight_map.is_empty() {
            return Err(invalid(format!("{}: names no tensors", path.display())));
        }
        Ok(Self {
            path,
            weight_map: file.weight_map,
        })
    }
}

fn vocabulary(folder: &Path, names: &BTreeSet<String>) -> Option<Vocabulary> {
    if names.contains("tekken.json") {
        Some(Vocabulary::Tekken(folder.join("tekken.json")))
    } else if names.contains("tokenizer.json") {
        Some(Vocabulary::HuggingFace(folder.join("tokenizer.json")))
    } else {
        None
    }
}

/// The error for a checkpoint without a tokenizer.
pub(super) fn no_vocabulary(folder: &Path) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "{}: there is no tokenizer: expected tekken.json or tokenizer.json",
            folder.display()
        ),
    )
}
