//! Running the tool in a folder of its own.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// The tool's program file.
pub const TOOL: &str = env!("CARGO_BIN_EXE_pixtral-quantize");

/// What a run left.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the tool prints UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Outcome {
    /// Asserts success and gives what was printed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// Asserts an error and gives its one sentence.
    #[track_caller]
    pub fn error(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        let line = self.stderr.trim_end();
        assert!(!line.contains('\n') && !line.ends_with('.'), "{line}");
        let sentence = line.strip_prefix("error: ");
        sentence.unwrap_or_else(|| panic!("{line}")).to_owned()
    }
}

/// A folder that is the tool's current one.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// One with a checkpoint of a few million random weights in the folder `tiny`.
    pub fn with_checkpoint() -> Self {
        let place = Self::new();
        place.run("synth --shape tiny --checkpoint tiny").ok();
        place
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The tool with `args`, which spaces separate.
    pub fn command(&self, args: &str) -> Command {
        let mut command = Command::new(TOOL);
        command.current_dir(self.dir.path());
        command.args(args.split_whitespace());
        command
    }

    pub fn run(&self, args: &str) -> Outcome {
        self.command(args).output().unwrap().into()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Names of all files with extension `ext` in the folder.
    pub fn files(&self, ext: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension() == Some(OsStr::new(ext)))
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}
