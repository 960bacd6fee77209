//! Names the shared library for the dynamic linker, and tells the tests which tools there are.

use std::{env, path::Path};

/// Tools that only some tests need. Where one is missing, Cargo lists those tests as ignored.
const TOOLS: [&str; 3] = ["cmake", "pkg-config", "valgrind"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    find_tools();
    let var = |name| env::var(name).unwrap_or_default();
    // Before 1.0 a minor version may break, so it is part of the name, as in cargo's own rules.
    let version = match var("CARGO_PKG_VERSION_MAJOR").as_str() {
        "0" => format!("0.{}", var("CARGO_PKG_VERSION_MINOR")),
        major => major.to_owned(),
    };
    match var("CARGO_CFG_TARGET_OS").as_str() {
        "linux" => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libpixtral.so.{version}");
            // Threads and thread-local destructors of the library live as long as the process:
            // dlclose must not take their code away.
            println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
            // Dependencies have C interfaces of their own, which are nobody's business.
            println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
        }
        "macos" => println!(
            "cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libpixtral.{version}.dylib"
        ),
        _ => {}
    }
}

/// Sets `has_…` for each of the tools that is in the path.
fn find_tools() {
    println!("cargo::rerun-if-env-changed=PATH");
    let path = env::var_os("PATH").unwrap_or_default();
    for tool in TOOLS {
        let flag = format!("has_{}", tool.replace('-', "_"));
        println!("cargo::rustc-check-cfg=cfg({flag})");
        let found = env::split_paths(&path)
            .map(|folder| folder.join(tool))
            .find(|file| file.is_file());
        if found.is_some() {
            println!("cargo::rustc-cfg={flag}");
        }
        // Where it appears once it is installed, and disappears.
        let place = found.unwrap_or_else(|| Path::new("/usr/bin").to_owned());
        println!("cargo::rerun-if-changed={}", place.display());
    }
}
