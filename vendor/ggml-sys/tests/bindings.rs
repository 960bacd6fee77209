//! The committed bindings are what bindgen makes of ggml's headers today. Needs libclang, and so
//! the feature `bindgen`; regenerate with `cargo test -p ggml-sys --features bindgen`, which names
//! the fresh file if it differs.
#![cfg(feature = "bindgen")]

#[test]
fn committed_bindings_are_current() {
    let generated = env!("GGML_SYS_GENERATED_BINDINGS");
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bindings.rs");
    let read = |path: &str| std::fs::read_to_string(path).expect("the file can be read");
    assert!(
        read(generated) == read(committed),
        "the bindings are out of date: copy {generated} to {committed}"
    );
}
