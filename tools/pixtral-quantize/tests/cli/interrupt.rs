//! Signals: the tile is finished, the unfinished file stays and is resumed.

use crate::support::{Outcome, Place};
use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Starts the tool with `args`, sends it `signal` once `partial` has more than `length` bytes, and
/// waits for its end.
fn interrupted(place: &Place, args: &str, signal: &str, partial: &str, length: u64) -> Outcome {
    let mut command = place.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while fs::metadata(place.path(partial)).map_or(0, |about| about.len()) <= length {
        assert_eq!(child.try_wait().unwrap(), None, "it ended too soon");
        thread::sleep(Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    let kill = Command::new("kill").args([signal, &pid]).status();
    assert!(kill.unwrap().success());
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_signal_leaves_an_unfinished_file_that_is_resumed_to_the_same_bytes() {
    let place = Place::new();
    let synth = "synth --shape tiny --layers 20 --checkpoint long";
    place.run(synth).ok();
    // The slowest type and one thread: long enough to be interrupted twice.
    let (args, partial) = ("iq4_nl long --threads 1", "long-iq4_nl.gguf.partial");
    let mut length = 3 << 20;
    for signal in ["-INT", "-TERM"] {
        let outcome = interrupted(&place, args, signal, partial, length);
        assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
        let says = format!("interrupted: {partial} is unfinished; run the same command again");
        assert!(outcome.stderr.contains(&says), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
        assert_eq!(place.files("gguf"), [""; 0]);
        assert_eq!(place.files("partial"), [partial]);
        length = fs::metadata(place.path(partial)).unwrap().len() + (2 << 20);
    }
    let other = place.run("q8_0 long -o long-iq4_nl.gguf").error();
    assert!(other.contains("cannot be resumed"), "{other}");

    let outcome = place.run("iq4_nl long");
    assert!(
        outcome
            .stderr
            .starts_with("resuming long-iq4_nl.gguf.partial: ")
    );
    let report = outcome.ok();
    assert!(
        report.contains("tensors were kept from an earlier run"),
        "{report}"
    );
    assert_eq!(place.files("partial"), [""; 0]);
    place.run("iq4_nl long -o whole.gguf").ok();
    assert!(place.read("long-iq4_nl.gguf") == place.read("whole.gguf"));
}

#[test]
fn a_signal_ends_synthesising_without_a_model() {
    let place = Place::new();
    let partial = "x.gguf.partial";
    let args = "synth --layers 2 --vision-layers 1 q8_0 -o x.gguf";
    let outcome = interrupted(&place, args, "-INT", partial, 20 << 20);
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    assert_eq!(place.files("gguf"), [""; 0]);
}
