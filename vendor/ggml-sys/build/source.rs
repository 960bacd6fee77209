//! Finds ggml's source tree on this machine and checks that it is the release
//! the bindings were made from. Knows nothing of compilers.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates.io package that carries the source. Keep in step with Cargo.toml.
const PACKAGE: &str = "llama-cpp-sys-2";
const PACKAGE_VERSION: &str = "0.1.161";
/// The release of ggml that the committed bindings and the file lists describe.
const GGML_RELEASE: (u32, u32) = (0, 26);

/// A checked ggml source tree.
pub struct Source {
    root: PathBuf,
    version: String,
}

impl Source {
    /// The folder of the public headers.
    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }

    /// The folder of the sources and private headers.
    pub fn src(&self) -> PathBuf {
        self.root.join("src")
    }

    /// "0.26.0"
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the source came from, as ggml reports it in place of a commit.
    pub fn origin(&self) -> String {
        format!("{PACKAGE}-{PACKAGE_VERSION}")
    }
}

/// Looks for the source, from the most explicit place to the most general.
pub fn find() -> Result<Source, String> {
    println!("cargo::rerun-if-env-changed=GGML_SOURCE_DIR");
    if let Some(dir) = env::var_os("GGML_SOURCE_DIR") {
        let root = PathBuf::from(dir);
        if !is_ggml(&root) {
            return Err(format!(
                "GGML_SOURCE_DIR is {}, which has no src/ggml.c; set it to a ggml source folder \
                 or unset it to use the one from crates.io",
                root.display()
            ));
        }
        return check(root);
    }
    let manifest_dir = PathBuf::from(required("CARGO_MANIFEST_DIR")?);
    let root = beside(&manifest_dir)
        .or_else(|| from_cargo_metadata(&manifest_dir))
        .or_else(from_registry)
        .ok_or_else(|| {
            format!(
                "ggml's source was not found; run `cargo fetch --locked` (without --target) while \
                 online, which downloads {PACKAGE} {PACKAGE_VERSION}, or set GGML_SOURCE_DIR to a \
                 ggml {}.{} source folder",
                GGML_RELEASE.0, GGML_RELEASE.1
            )
        })?;
    check(root)
}

/// An environment variable that Cargo sets for every build script.
pub fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set; build this package with Cargo"))
}

fn is_ggml(root: &Path) -> bool {
    root.join("src/ggml.c").is_file() && root.join("CMakeLists.txt").is_file()
}

/// `package`'s ggml folder, if it is there.
fn ggml_in(package: &Path) -> Option<PathBuf> {
    let root = package.join("llama.cpp/ggml");
    is_ggml(&root).then_some(root)
}

/// `cargo vendor` puts all packages side by side, with or without a version in
/// the folder's name.
fn beside(manifest_dir: &Path) -> Option<PathBuf> {
    let vendor = manifest_dir.parent()?;
    let versioned = vendor.join(format!("{PACKAGE}-{PACKAGE_VERSION}"));
    ggml_in(&versioned).or_else(|| ggml_in(&vendor.join(PACKAGE)))
}

/// Asks Cargo, which also knows source replacement and other registries. The
/// quiet forms come first: a build must not touch the network or the lock file
/// when it need not.
fn from_cargo_metadata(manifest_dir: &Path) -> Option<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let attempts: [&[&str]; 4] = [
        &["--offline", "--locked"],
        &["--locked"],
        &["--offline"],
        &[],
    ];
    attempts.iter().find_map(|flags| {
        let output = Command::new(&cargo)
            .args(["metadata", "--format-version", "1", "--manifest-path"])
            .arg(manifest_dir.join("Cargo.toml"))
            .args(*flags)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        package_dir(&text).and_then(|package| ggml_in(&package))
    })
}

/// The package's folder, from the `manifest_path` that ends in its name. Reads
/// this one string out of the JSON, which is not worth a JSON parser as a
/// build dependency of every user.
fn package_dir(metadata: &str) -> Option<PathBuf> {
    metadata
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(|path| PathBuf::from(path.replace("\\\\", "\\")))
        .filter_map(|manifest| manifest.parent().map(Path::to_path_buf))
        .find(|dir| {
            dir.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| {
                    name == PACKAGE || name == format!("{PACKAGE}-{PACKAGE_VERSION}")
                })
        })
}

/// The folder into which Cargo unpacks packages, whatever registry they are
/// from.
fn from_registry() -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))?;
    fs::read_dir(cargo_home.join("registry/src"))
        .ok()?
        .filter_map(Result::ok)
        .find_map(|registry| ggml_in(&registry.path().join(format!("{PACKAGE}-{PACKAGE_VERSION}"))))
}

/// Refuses a tree of another release: its structs would not fit the bindings.
fn check(root: PathBuf) -> Result<Source, String> {
    let cmake = root.join("CMakeLists.txt");
    let text = fs::read_to_string(&cmake)
        .map_err(|e| format!("{}: cannot be read ({e})", cmake.display()))?;
    let part = |name: &str| -> Option<u32> {
        let prefix = format!("set(GGML_VERSION_{name} ");
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(&prefix))?;
        line.trim_end_matches(')').trim().parse().ok()
    };
    let (Some(major), Some(minor), Some(patch)) = (part("MAJOR"), part("MINOR"), part("PATCH"))
    else {
        return Err(format!(
            "{}: states no ggml version; is this a ggml source folder?",
            cmake.display()
        ));
    };
    if (major, minor) != GGML_RELEASE {
        return Err(format!(
            "{}: ggml {major}.{minor}.{patch} found, but the bindings are for {}.{}; point \
             GGML_SOURCE_DIR to that release or unset it",
            root.display(),
            GGML_RELEASE.0,
            GGML_RELEASE.1
        ));
    }
    println!("cargo::rerun-if-changed={}", root.join("src").display());
    println!("cargo::rerun-if-changed={}", root.join("include").display());
    Ok(Source {
        root,
        version: format!("{major}.{minor}.{patch}"),
    })
}
