//! Installing the library, compiling programs against it, and running them.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{LazyLock, Mutex, PoisonError},
};

/// Where `tools/install` has put the library that this test was built with.
pub static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| {
    let prefix = tmp("installed");
    _ = fs::remove_dir_all(&prefix);
    install(&prefix, None);
    prefix
});

/// The demonstration model, converted by the example that does that.
pub static MODEL: LazyLock<String> = LazyLock::new(|| {
    let path = text(&tmp("capi-demo.gguf"));
    _ = fs::remove_file(&path);
    let quantize = compile("quantize", Build::Shared);
    let output = stdout(Command::new(quantize).args([&demo(""), &path, "q8_0"]));
    assert!(output.starts_with("{\"recipe\":\"q8_0\""), "{output}");
    path
});

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    Shared,
    Static,
    /// Shared, with the address and undefined-behaviour sanitizers, for which leaks are errors.
    Sanitized,
    /// The same with the static library.
    SanitizedStatic,
}

/// All of them.
pub const BUILDS: [Build; 4] = [
    Build::Shared,
    Build::Static,
    Build::Sanitized,
    Build::SanitizedStatic,
];

/// Runs `tools/install` on the libraries of this build.
pub fn install(prefix: &Path, destination: Option<&Path>) {
    let mut command = Command::new(root("tools/install"));
    command.arg("--prefix").arg(prefix);
    command.arg("--libraries").arg(libraries());
    if let Some(destination) = destination {
        command.env("DESTDIR", destination);
    }
    stdout(&mut command);
}

/// Folder of the libraries that Cargo has built beside this test.
pub fn libraries() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

/// A file in Cargo's folder for tests.
pub fn tmp(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A file of the repository.
pub fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

/// A file of the demonstration model's folder.
pub fn demo(name: &str) -> String {
    text(&root("tools/pixtral/demo").join(name))
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("the path is UTF-8").to_owned()
}

/// The source of an example or a test program, which is C or C++.
fn source(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["examples", "tests/c"]
        .iter()
        .flat_map(|place| {
            ["c", "cpp"].map(|kind| folder.join(place).join(name).with_extension(kind))
        })
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("there is no program {name}"))
}

/// A compiler with the options that every program gets.
pub fn compiler(cpp: bool) -> Command {
    let (variable, usual, standard) = match cpp {
        true => ("CXX", "c++", "-std=c++17"),
        false => ("CC", "cc", "-std=c11"),
    };
    let compiler = env::var_os(variable).unwrap_or_else(|| usual.into());
    let mut command = Command::new(compiler);
    command.args([standard, "-Wall", "-Wextra", "-Werror", "-g", "-O1"]);
    command
}

/// The example or test program `name`, compiled once: tests that run side by side may use the same.
pub fn compile(name: &str, build: Build) -> PathBuf {
    static COMPILED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let program = tmp(&format!("{name}-{build:?}"));
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if !compiled.contains(&program) {
        compile_to(&program, &source(name), build);
        compiled.insert(program.clone());
    }
    program
}

/// Compiles the file `source`, by which it is C or C++.
pub fn compile_to(program: &Path, source: &Path, build: Build) {
    let mut command = compiler(source.extension() == Some(OsStr::new("cpp")));
    command.arg(source).arg("-o").arg(program);
    let library = INSTALLED.join("lib");
    if matches!(build, Build::Sanitized | Build::SanitizedStatic) {
        command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    }
    command.arg("-I").arg(INSTALLED.join("include"));
    match build {
        Build::Shared | Build::Sanitized => command.arg("-L").arg(&library).arg("-lpixtral"),
        Build::Static | Build::SanitizedStatic => command
            .arg(library.join("libpixtral.a"))
            .args(["-lstdc++", "-lm"]),
    };
    command.args(["-lpthread", "-ldl"]);
    command.arg(format!("-Wl,-rpath,{}", library.display()));
    stdout(&mut command);
}

/// Runs a program to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Standard output of a program that must succeed.
#[track_caller]
pub fn stdout(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}
