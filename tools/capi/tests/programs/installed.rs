//! What `tools/install` makes: names, symbols, and the ways in which build systems find it.

use crate::support::{INSTALLED, MODEL, compiler, demo, install, root, run, stdout, tmp};
use regex::Regex;
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(root("include/pixtral.h")).unwrap();
    let function = Regex::new(r"(?m)^\w[\w *]*?\b(pixtral_\w+)\(").unwrap();
    let functions: BTreeSet<String> = function
        .captures_iter(&header)
        .map(|found| found[1].to_owned())
        .collect();
    assert!(functions.len() > 40, "{functions:?}");
    functions
}

fn symbols(arguments: &[&str], file: &Path) -> BTreeSet<String> {
    stdout(Command::new("nm").args(arguments).arg(file))
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned))
        .collect()
}

#[test]
fn both_libraries_show_the_functions_of_the_header_and_nothing_else() {
    let lib = INSTALLED.join("lib");
    let shared = symbols(&["-D", "--defined-only"], &lib.join("libpixtral.so"));
    assert_eq!(shared, declared());
    let archive = symbols(&["-g", "--defined-only"], &lib.join("libpixtral.a"));
    assert_eq!(archive, declared());
}

#[test]
fn functions_are_added_and_never_removed() {
    let list = fs::read_to_string(root("tools/capi/tests/symbols.txt")).unwrap();
    let listed: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let removed: Vec<_> = listed.difference(&declared()).cloned().collect();
    assert!(removed.is_empty(), "programs may use {removed:?}");
    let unlisted: Vec<_> = declared().difference(&listed).cloned().collect();
    assert!(
        unlisted.is_empty(),
        "add {unlisted:?} to tools/capi/tests/symbols.txt: it is what programs may use from now on"
    );
}

#[test]
fn the_shared_library_has_a_versioned_name() {
    let lib = INSTALLED.join("lib");
    let version = env!("CARGO_PKG_VERSION");
    let full = format!("libpixtral.so.{version}");
    let about = stdout(Command::new("objdump").arg("-p").arg(lib.join(&full)));
    let soname = Regex::new(r"SONAME +(\S+)").unwrap();
    let soname = &soname.captures(&about).expect("a soname")[1];
    assert!(full.starts_with(&format!("{soname}.")), "{soname}");
    assert_eq!(
        fs::read_link(lib.join("libpixtral.so")).unwrap(),
        Path::new(soname)
    );
    assert_eq!(fs::read_link(lib.join(soname)).unwrap(), Path::new(&full));
}

#[test]
fn a_package_can_be_made_elsewhere_than_where_it_will_be() {
    let destination = tmp("package");
    _ = fs::remove_dir_all(&destination);
    install(Path::new("/opt/pixtral"), Some(&destination));
    let prefix = destination.join("opt/pixtral");
    for file in [
        "include/pixtral.h",
        "include/pixtral.hpp",
        "lib/libpixtral.a",
        "lib/libpixtral.so",
    ] {
        assert!(prefix.join(file).exists(), "{file}");
    }
    let relative = run(Command::new(root("tools/install")).args(["--prefix", "here"]));
    assert_eq!(relative.status.code(), Some(2));
}

#[test]
fn the_headers_are_complete_and_strictly_standard() {
    for (cpp, header) in [
        (false, "pixtral.h"),
        (true, "pixtral.h"),
        (true, "pixtral.hpp"),
    ] {
        let mut command = compiler(cpp);
        let language = if cpp { "c++" } else { "c" };
        command.args([
            "-Wpedantic",
            "-Wshadow",
            "-fsyntax-only",
            "-x",
            language,
            "-",
        ]);
        command.arg("-I").arg(INSTALLED.join("include"));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(
            input,
            "#include <{header}>\n#include <{header}>\nint main(void) {{ return 0; }}"
        )
        .unwrap();
        drop(input);
        assert!(child.wait().unwrap().success(), "{header} {language}");
    }
}

#[test]
#[cfg_attr(not(has_pkg_config), ignore = "there is no pkg-config")]
fn pkg_config_knows_what_a_program_needs() {
    let ask = |wanted: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.args(wanted).arg("pixtral");
        command.env("PKG_CONFIG_PATH", INSTALLED.join("lib/pkgconfig"));
        stdout(&mut command)
    };
    assert_eq!(ask(&["--modversion"]).trim(), env!("CARGO_PKG_VERSION"));
    // As README says it.
    let program = tmp("pkg-config");
    let mut command = compiler(false);
    command.arg(root("tools/capi/examples/quantize.c"));
    command.args(ask(&["--cflags", "--libs"]).split_whitespace());
    command.arg(format!("-Wl,-rpath,{}", INSTALLED.join("lib").display()));
    stdout(command.arg("-o").arg(&program));
    let usage = run(&mut Command::new(&program));
    assert_eq!(usage.status.code(), Some(2));
    // What the static library needs beside itself.
    let needed = ask(&["--libs", "--static"]);
    for library in ["-lstdc++", "-lm", "-lpthread", "-ldl"] {
        assert!(needed.contains(library), "{needed}");
    }
}

#[test]
#[cfg_attr(not(has_cmake), ignore = "there is no cmake")]
fn cmake_finds_both_libraries() {
    let (source, build) = (tmp("cmake-source"), tmp("cmake-build"));
    _ = fs::remove_dir_all(&build);
    fs::create_dir_all(&source).unwrap();
    let examples = root("tools/capi/examples");
    let project = format!(
        "cmake_minimum_required(VERSION 3.16)\n\
         project(app C)\n\
         find_package(pixtral {} REQUIRED)\n\
         add_executable(shared {examples}/describe.c)\n\
         target_link_libraries(shared pixtral::pixtral Threads::Threads)\n\
         add_executable(static {examples}/describe.c)\n\
         target_link_libraries(static pixtral::pixtral-static)\n",
        env!("CARGO_PKG_VERSION"),
        examples = fs::canonicalize(examples).unwrap().display()
    );
    fs::write(source.join("CMakeLists.txt"), project).unwrap();
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", INSTALLED.display());
    let (from, to) = (source.as_os_str(), build.as_os_str());
    stdout(
        Command::new("cmake")
            .args(["-S".as_ref(), from, "-B".as_ref(), to])
            .arg(prefix),
    );
    stdout(Command::new("cmake").arg("--build").arg(&build));
    for program in ["shared", "static"] {
        let mut command = Command::new(build.join(program));
        let told = stdout(command.args([&*MODEL, &demo("chart.png")]));
        assert!(told.contains("bar chart"), "{told}");
    }
}
