//! `include/pixtral.h` is what the source says today.

use std::{env, fs, path::PathBuf};

/// In the order in which a reader of the header meets them.
const SOURCES: [&str; 15] = [
    "status",
    "boundary",
    "arguments",
    "about",
    "event",
    "model",
    "image",
    "message",
    "session_options",
    "session",
    "placement",
    "estimate",
    "constraint",
    "generate",
    "quantize",
];

/// Set to write the header instead of comparing it.
const UPDATE: &str = "PIXTRAL_UPDATE_HEADER";

const INTRODUCTION: &str = "\
/*
 * pixtral: run Mistral's Pixtral-12B, the model that reads pictures.
 *
 * Every function that can fail returns a pixtral_status; pixtral_last_error() then explains, for the
 * same thread, in a sentence. Nothing is written to standard output or standard error, no signal
 * handler is touched, and no panic or exception leaves the library.
 *
 * Texts are UTF-8 with a length in bytes; PIXTRAL_NUL_TERMINATED in the place of a length means \"up
 * to the first NUL\". Texts and bytes that are passed in are copied, or used only during the call.
 * Handles (pointers to types without a definition) belong to the caller, who frees each with the
 * function of that name; they may be freed in any order. What else is given out says to whom it
 * belongs.
 *
 * Structs may grow at their end. Their field struct_size says how long the program's are, so that
 * programs go on working with later libraries. Fill options with their _init function; set the
 * struct_size of structs that the library is to fill.
 *
 * Functions say which threads may call them. Where they say nothing, different handles can be used
 * by different threads at the same time, and one handle by one thread at a time.
 */";

fn generated() -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    config.header = Some(INTRODUCTION.to_owned());
    let number = |part: &str, value: &str| format!("#define PIXTRAL_VERSION_{part} {value}\n");
    config.after_includes = Some(format!(
        "\n/* The version of this header; pixtral_version() is the library's. */\n{}{}{}\n\
         /* In the place of a length: the text ends at its first NUL. */\n\
         #define PIXTRAL_NUL_TERMINATED SIZE_MAX",
        number("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        number("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        number("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(folder.join("src").join(source).with_extension("rs"));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../include/pixtral.h");
    let generated = generated();
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "include/pixtral.h is not current: run `{UPDATE}=1 cargo test -p pixtral-capi --test header`"
    );
}
