//! Programs that try everything, which check themselves.

use crate::support::{
    BUILDS, Build, INSTALLED, MODEL, compile, demo, root, run, stdout, text, tmp,
};
use std::{fs, process::Command};

fn scratch(name: &str, build: Build) -> String {
    text(&tmp(&format!("{name}-{build:?}.scratch")))
}

/// A small checkpoint of random weights.
fn tiny_checkpoint() -> String {
    text(&root("tests/data/golden/checkpoint/mistral"))
}

#[test]
fn misuse_gives_a_status_and_a_sentence() {
    for build in BUILDS {
        stdout(Command::new(compile("misuse", build)).arg(&*MODEL));
    }
}

#[test]
fn every_function_does_what_it_says() {
    for build in BUILDS {
        let arguments = [&*MODEL, &demo("demo.png"), &scratch("use", build)];
        stdout(Command::new(compile("use", build)).args(arguments));
    }
}

#[test]
fn the_cpp_header_is_the_same_with_the_manners_of_cpp() {
    for build in BUILDS {
        let scratch = scratch("wrapper", build);
        let arguments = [&*MODEL, &demo("demo.png"), &scratch, &demo("")];
        stdout(Command::new(compile("wrapper", build)).args(arguments));
    }
}

#[test]
fn many_sessions_on_several_threads_give_the_same_answers() {
    for build in BUILDS {
        stdout(Command::new(compile("threads", build)).args([&*MODEL, &demo("demo.png")]));
    }
}

#[test]
fn everything_that_was_made_is_freed() {
    let output = run(&mut Command::new(compile("leak", Build::Sanitized)));
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "a leak is not noticed");
    assert!(report.contains("LeakSanitizer"), "{report}");
    for build in [Build::Sanitized, Build::SanitizedStatic] {
        let scratch = scratch("once", build);
        stdout(Command::new(compile("once", build)).args([tiny_checkpoint(), scratch]));
    }
}

#[test]
#[cfg_attr(not(has_valgrind), ignore = "there is no valgrind")]
fn valgrind_has_nothing_to_say() {
    let valgrind = |program: &str, build: Build| {
        let mut command = Command::new("valgrind");
        command
            .args(["-q", "--error-exitcode=99", "--leak-check=full"])
            .args([
                "--show-leak-kinds=definite,indirect",
                "--errors-for-leak-kinds=definite,indirect",
            ])
            .arg(compile(program, build))
            // It knows no AVX-512.
            .env("PIXTRAL_CPU", "baseline");
        command
    };
    let leak = run(&mut valgrind("leak", Build::Shared));
    assert_eq!(leak.status.code(), Some(99));
    stdout(valgrind("misuse", Build::Shared).arg(&*MODEL));
    stdout(valgrind("describe", Build::Shared).args([&*MODEL, &demo("chart.png")]));
    for build in [Build::Shared, Build::Static] {
        let scratch = scratch("valgrind", build);
        stdout(valgrind("once", build).args([tiny_checkpoint(), scratch]));
    }
}

#[test]
fn what_the_interface_costs_can_be_measured() {
    let measured = stdout(Command::new(compile("overhead", Build::Shared)).args([&*MODEL, "1"]));
    assert_eq!(measured.lines().count(), 3, "{measured}");
}

#[test]
fn two_copies_in_one_process_keep_apart_and_touch_nothing_of_it() {
    let library = INSTALLED.join("lib/libpixtral.so");
    let other = tmp("another-libpixtral.so");
    fs::copy(&library, &other).unwrap();
    stdout(
        Command::new(compile("twice", Build::Shared))
            .args([&*MODEL, &demo("demo.png")])
            .args([library, other]),
    );
}
