//! Backends in libraries of their own: found beside the program, loaded once, and from then on
//! among the devices like any other. A library that is there but cannot be used, for want of a
//! driver say, is a note and no error: the program runs without it.

use super::log;
use ggml_sys as sys;
use libloading::{Library, Symbol};
use std::{
    env,
    ffi::{CStr, CString, OsString, c_char, c_void},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Names files to load and folders to search, as `PATH` does, in place of the usual ones. Empty:
/// nothing is loaded.
const ENV: &str = "PIXTRAL_BACKENDS";

/// The backends that are made as libraries.
const NAMES: [&str; 1] = ["cuda"];

/// A backend's library that was found, and what came of it.
#[derive(Clone, Debug)]
pub struct LoadedBackend {
    /// The library.
    pub path: PathBuf,
    /// ggml's name of the backend and how many devices it has; or why it cannot be used.
    pub outcome: Result<(String, usize), String>,
}

/// Loads the backends' libraries the first time it is called; says each time which there are.
///
/// They are looked for in the folder of the program and in `../lib/pixtral` seen from there, or
/// where the environment variable `PIXTRAL_BACKENDS` says.
pub fn loaded_backends() -> &'static [LoadedBackend] {
    static LOADED: OnceLock<Vec<LoadedBackend>> = OnceLock::new();
    LOADED.get_or_init(|| {
        log::install();
        let program = env::current_exe().ok();
        candidates(env::var_os(ENV), program.as_deref())
            .into_iter()
            .map(|path| LoadedBackend {
                outcome: load(&path),
                path,
            })
            .collect()
    })
}

/// The libraries to load: those that exist where the search goes, and files that are named, which
/// are to be missed if they do not.
fn candidates(named: Option<OsString>, program: Option<&Path>) -> Vec<PathBuf> {
    let places: Vec<PathBuf> = match (&named, program.and_then(Path::parent)) {
        (Some(list), _) => env::split_paths(list).collect(),
        (None, Some(folder)) => vec![folder.to_owned(), folder.join("../lib/pixtral")],
        (None, None) => Vec::new(),
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for place in places.into_iter().filter(|p| !p.as_os_str().is_empty()) {
        let files = match place.is_dir() {
            true => (NAMES.iter().map(|name| place.join(file_name(name))))
                .filter(|path| path.is_file())
                .collect(),
            false if named.is_some() => vec![place],
            false => Vec::new(),
        };
        // Of two libraries for the same devices, only the first can be used.
        for file in files {
            if found
                .iter()
                .all(|path| path.file_name() != file.file_name())
            {
                found.push(file);
            }
        }
    }
    found
}

fn file_name(backend: &str) -> String {
    let (prefix, suffix) = (env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    format!("{prefix}pixtral_{backend}{suffix}")
}

type Build = unsafe extern "C" fn() -> *const c_char;
type SetLog = unsafe extern "C" fn(sys::ggml_log_callback, *mut c_void);

fn load(path: &Path) -> Result<(String, usize), String> {
    // The system's loader takes a bare name for one of its own libraries.
    let path = path.canonicalize().map_err(|e| e.to_string())?;
    // SAFETY: loading runs the library's initialisers, C++ constructors of static objects. Whoever
    // can put a file beside the program or set its environment could replace the program as well.
    let library = unsafe { Library::new(&path) }.map_err(|e| deepest(&e))?;
    // SAFETY: the functions of these names have these types in every library that has both
    // (ggml-sys, module `loadable`), and are used while it is loaded.
    let (build, set_log): (Symbol<Build>, Symbol<SetLog>) = unsafe {
        let foreign = |_| "it is no backend of pixtral".to_owned();
        (
            library.get(b"pixtral_backend_build\0").map_err(foreign)?,
            library.get(b"pixtral_backend_log_set\0").map_err(foreign)?,
        )
    };
    // SAFETY: the function takes nothing and returns a NUL-terminated text of the library.
    let build = unsafe { CStr::from_ptr(build()) }.to_string_lossy();
    if build != sys::BUILD {
        return Err(format!(
            "it was built with ggml {build}, this program with {}: build both from one source",
            sys::BUILD
        ));
    }
    // SAFETY: the callback needs no user data and lives as long as the process.
    unsafe { set_log(Some(log::record), std::ptr::null_mut()) };
    let text = path.as_os_str().as_encoded_bytes();
    let text = CString::new(text).map_err(|e| e.to_string())?;
    // SAFETY: the path ends in NUL. ggml loads the library a second time, which gives the same
    // one, and keeps it.
    let registered = unsafe { sys::ggml_backend_load(text.as_ptr()) };
    if registered.is_null() {
        return Err(log::explain("it cannot be started"));
    }
    // SAFETY: a registered backend lives as long as the process, and so does its name.
    unsafe {
        let name = CStr::from_ptr(sys::ggml_backend_reg_name(registered));
        let n_devices = sys::ggml_backend_reg_dev_count(registered);
        Ok((name.to_string_lossy().into_owned(), n_devices))
    }
}

/// The system's own words, which libloading keeps beneath its own.
fn deepest(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => deepest(source),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn note(path: &Path) -> String {
        load(path).expect_err("no backend")
    }

    #[test]
    fn what_lies_beside_the_program_is_found_once() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("bin/pixtral");
        let beside = root.path().join("bin").join(file_name("cuda"));
        let installed = root.path().join("lib/pixtral");
        fs::create_dir_all(&installed).unwrap();
        fs::create_dir(root.path().join("bin")).unwrap();
        assert!(candidates(None, Some(&program)).is_empty());
        fs::write(installed.join(file_name("cuda")), "").unwrap();
        fs::write(installed.join(file_name("abacus")), "").unwrap();
        let found = candidates(None, Some(&program));
        assert_eq!(found.len(), 1, "{found:?}");
        fs::write(&beside, "").unwrap();
        assert_eq!(candidates(None, Some(&program)), [beside]);
    }

    #[test]
    fn the_environment_names_folders_and_files_in_place_of_the_usual_ones() {
        let root = tempfile::tempdir().unwrap();
        let usual = root.path().join(file_name("cuda"));
        fs::write(&usual, "").unwrap();
        let program = root.path().join("pixtral");
        assert!(candidates(Some("".into()), Some(&program)).is_empty());
        let other = PathBuf::from("elsewhere.so");
        let list = env::join_paths([&other, root.path()]).unwrap();
        assert_eq!(candidates(Some(list), Some(&program)), [other, usual]);
    }

    #[test]
    fn a_file_that_is_no_library_or_not_there_is_a_note() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(file_name("cuda"));
        assert!(!note(&path).is_empty());
        fs::write(&path, "hello").unwrap();
        let said = note(&path);
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_library_of_something_else_is_a_note() {
        // The program's own C library, by the name under which it is mapped.
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let path = maps
            .lines()
            .filter_map(|line| line.find('/').map(|at| &line[at..]))
            .find(|path| path.contains("libc.so") || path.contains("libc-"))
            .expect("the C library is mapped");
        assert_eq!(note(Path::new(path)), "it is no backend of pixtral");
    }
}
