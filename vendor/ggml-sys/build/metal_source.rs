//! Makes self-contained texts of Metal's kernels: their compiler gets one string and finds
//! no files. Knows no compiler, so that `tests/metal.rs` can try it on any system.

use std::fs;
use std::path::Path;

/// Files of the kernels' folder that others include.
const SHARED: &[&str] = &["fa_common", "fa_vec_common"];

/// Where dequantize.h wants the definitions of the block types.
const BLOCK_TYPES: &str = "__embed_ggml-common.h__";

/// The names of all kernel files in ggml's source folder, in order.
pub fn kernels(source: &Path) -> Result<Vec<String>, String> {
    let folder = source.join("ggml-metal/kernels");
    let entries =
        fs::read_dir(&folder).map_err(|e| format!("{}: cannot be read ({e})", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".metal").map(str::to_owned))
        .filter(|name| !SHARED.contains(&name.as_str()))
        .collect();
    names.sort();
    Ok(names)
}

/// The kernel file `name` with everything of ggml's that it includes in its place, once.
pub fn merged(source: &Path, name: &str) -> Result<String, String> {
    let mut merger = Merger {
        source,
        seen: Vec::new(),
        text: String::new(),
    };
    merger.add(&format!("{name}.metal"))?;
    Ok(merger.text)
}

struct Merger<'a> {
    source: &'a Path,
    /// Files added so far.
    seen: Vec<String>,
    text: String,
}

impl Merger<'_> {
    fn add(&mut self, file: &str) -> Result<(), String> {
        if self.seen.iter().any(|seen| seen == file) {
            return Ok(());
        }
        self.seen.push(file.to_owned());
        let path = self.source.join(match file {
            "ggml-common.h" => file.to_owned(),
            "ggml-metal-impl.h" => format!("ggml-metal/{file}"),
            _ => format!("ggml-metal/kernels/{file}"),
        });
        let text = fs::read_to_string(&path)
            .map_err(|e| format!("{}: cannot be read ({e})", path.display()))?;
        for line in text.lines() {
            match included(line) {
                Some(file) => self.add(file)?,
                None if line.trim() == "#pragma once" => {}
                None => {
                    self.text.push_str(line);
                    self.text.push('\n');
                }
            }
        }
        Ok(())
    }
}

/// The file of ggml's that a line stands for.
fn included(line: &str) -> Option<&str> {
    if line.trim() == BLOCK_TYPES {
        return Some("ggml-common.h");
    }
    line.trim().strip_prefix("#include \"")?.strip_suffix('"')
}
