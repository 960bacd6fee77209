//! The examples do what they say.

use crate::support::{BUILDS, Build, MODEL, compile, compile_to, demo, root, run, stdout, tmp};
use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

#[test]
fn describe_tells_what_is_to_be_seen() {
    for build in BUILDS {
        let describe = compile("describe", build);
        let told = stdout(Command::new(&describe).args([&*MODEL, &demo("chart.png")]));
        assert!(told.contains("bar chart with four bars"), "{told}");
        let asked = [&*MODEL, &demo("sign.png"), "What is written?"];
        let read = stdout(Command::new(&describe).args(asked));
        assert!(read.contains("Garden"), "{read}");
        let missing = run(Command::new(&describe).args([&*MODEL, "nowhere.png"]));
        assert_eq!(missing.status.code(), Some(1));
        let sentence = String::from_utf8(missing.stderr).unwrap();
        assert_eq!(
            sentence,
            "the picture: nowhere.png: no such file or folder\n"
        );
    }
}

#[test]
fn the_program_in_the_readme_describes_a_picture() {
    let readme = fs::read_to_string(root("README.md")).unwrap();
    let (_, rest) = readme.split_once("```c\n").expect("a program in C");
    let (source, _) = rest.split_once("```").expect("the program's end");
    let (file, program) = (tmp("readme.c"), tmp("readme"));
    fs::write(&file, source).unwrap();
    compile_to(&program, &file, Build::Shared);
    let told = stdout(Command::new(&program).args([&*MODEL, &demo("chart.png")]));
    assert!(told.contains("bar chart"), "{told}");
    let missing = run(Command::new(&program).args([&*MODEL, "nowhere.png"]));
    let sentence = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(sentence, "nowhere.png: no such file or folder\n");
}

#[test]
fn describe_ends_when_it_is_interrupted() {
    let mut child = Command::new(compile("describe", Build::Shared))
        .args([&*MODEL, &demo("demo.png")])
        // The slowest kernels: there has to be something to interrupt.
        .env("PIXTRAL_CPU", "baseline")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut progress = child.stderr.take().unwrap();
    progress.read_exact(&mut [0]).unwrap();
    let pid = child.id().to_string();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        _ = Command::new("kill").args(["-INT", &pid]).status();
        thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(status.code(), Some(1));
}

#[test]
fn chat_remembers_the_conversation_also_in_another_run() {
    for build in BUILDS {
        let file = tmp(&format!("chat-{build:?}.session"));
        _ = fs::remove_file(&file);
        let chat = compile("chat", build);
        let say = |lines: &str| {
            let mut child = Command::new(&chat)
                .arg(&*MODEL)
                .arg(&file)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut input = child.stdin.take().unwrap();
            input.write_all(lines.as_bytes()).unwrap();
            drop(input);
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        let sign = demo("sign.png");
        let first = say(&format!(
            "/image {sign}\nWhat is written?\nIn which colour?\n"
        ));
        let lines: Vec<&str> = first.lines().collect();
        assert_eq!(lines.len(), 2, "{first}");
        assert!(
            lines[0].contains("Garden") && lines[1].contains("green"),
            "{first}"
        );
        // The picture is in the conversation that was kept, and nowhere else.
        let second = say("What is written?\n");
        assert!(second.contains("Garden"), "{second}");
    }
}

#[test]
fn compare_sees_what_changed() {
    for build in BUILDS {
        let pictures = [demo("before.png"), demo("after.png")];
        let told = stdout(
            Command::new(compile("compare", build))
                .arg(&*MODEL)
                .args(pictures),
        );
        assert!(told.contains("became a star"), "{told}");
    }
}
