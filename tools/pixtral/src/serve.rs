//! `pixtral serve`: the model over HTTP.

use crate::{
    demo_model,
    load::LoadArgs,
    options::{CacheArgs, DecoderArgs},
    pictures::PictureArgs,
    placement,
};
use clap::Args;
use pixtral::{Error, ErrorKind, Result, ggml::CancelFlag, runtime::Bytes};
use pixtral_server::{FetchOptions, ServerOptions};
use pixtral_terminal::{Interrupt, noteln, outln, units};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Serve the OpenAI API, and a page to chat on
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pixtral serve
  pixtral serve pixtral-12b-q4_k.gguf --parallel 8 --ctx 8192
  pixtral serve pixtral-12b-q4_k.gguf --host 0.0.0.0 --api-key-file keys.txt
  curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'

docs/SERVE.md has the API, and how to serve other machines.")]
pub struct ServeArgs {
    /// Model file (GGUF, as pixtral-quantize writes it) [default: the demonstration model]
    model: Option<PathBuf>,
    /// Name or address to listen at; 0.0.0.0 lets other machines in, which should need a key
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen at; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// What the model is called in answers [default: the file's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Answers generated at once; each has a context of its own
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    parallel: u32,
    /// Answers that may wait; more are refused with status 429
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=65536))]
    queue: u32,
    /// Key that requests must have; may be given several times. Others on this machine can see it:
    /// rather use --api-key-file
    #[arg(long, value_name = "KEY")]
    api_key: Vec<String>,
    /// File with such keys, one a line
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Origin of web pages that may ask, such as https://example.org, or * for all; may be given several
    /// times
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Most bytes of a request
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    max_body: Bytes,
    /// Let requests name pictures in this folder, by path or file URL
    #[arg(long, value_name = "DIR")]
    allow_images_in: Option<PathBuf>,
    /// Fetch pictures that requests name by https URLs, from the public internet only
    #[arg(long)]
    fetch_images: bool,
    /// Fetch by http too
    #[arg(long, requires = "fetch_images")]
    fetch_http: bool,
    /// Port that pictures may be fetched from; may be given several times [default: 443, and 80 with
    /// --fetch-http]
    #[arg(long, value_name = "PORT", requires = "fetch_images")]
    fetch_port: Vec<u16>,
    /// Seconds that answers have to end when the server is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u32,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    decoder: DecoderArgs,
}

/// Runs the command until it is interrupted, which is its usual end.
pub fn run(args: &ServeArgs, interrupt: &Interrupt) -> Result<()> {
    let options = args.options()?;
    let model = demo_model::open_or_demo(args.model.as_deref(), &args.load, interrupt)?;
    let server = placement::start_server(model, options, interrupt)?;
    if args.is_open() {
        noteln!("anybody who reaches this machine can ask: use --api-key-file");
    }
    outln!(
        "listening at http://{}/ ({} answers at once, {} tokens each)",
        server.address(),
        args.parallel,
        units::count(server.n_ctx())
    )?;
    let stop = CancelFlag::default();
    interrupt.during(stop.clone(), || server.run(&stop))
}

impl ServeArgs {
    fn options(&self) -> Result<ServerOptions> {
        let name = self.model.as_deref().and_then(Path::file_stem);
        let name = name.map_or("pixtral-demo".into(), |stem| stem.to_string_lossy());
        let mut api_keys = self.api_key.clone();
        if let Some(path) = &self.api_key_file {
            api_keys.extend(read_keys(path)?);
        }
        if api_keys.iter().any(String::is_empty) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "--api-key: a key is empty, expected some letters",
            ));
        }
        Ok(ServerOptions {
            host: self.host.clone(),
            port: self.port,
            model_name: self.name.clone().unwrap_or_else(|| name.into_owned()),
            api_keys,
            cors_origins: self.cors.clone(),
            parallel: self.parallel as usize,
            queue: self.queue as usize,
            max_body_bytes: usize::try_from(self.max_body.0).unwrap_or(usize::MAX),
            pictures_folder: self.allow_images_in.clone(),
            fetch: self.fetch_images.then(|| self.fetch()),
            preprocess: self.pictures.preprocess(),
            session: self.cache.session(&self.decoder),
            grace: Duration::from_secs(self.grace.into()),
        })
    }

    fn fetch(&self) -> FetchOptions {
        let usual = match self.fetch_http {
            true => vec![443, 80],
            false => vec![443],
        };
        FetchOptions {
            http: self.fetch_http,
            ports: match self.fetch_port.is_empty() {
                true => usual,
                false => self.fetch_port.clone(),
            },
            ..FetchOptions::default()
        }
    }

    /// Whether strangers may be able to ask.
    fn is_open(&self) -> bool {
        let is_local = ["127.0.0.1", "localhost", "::1"].contains(&self.host.as_str());
        !is_local && self.api_key.is_empty() && self.api_key_file.is_none()
    }
}

/// The lines of the file `path`; a file without any would let everybody in.
fn read_keys(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Vec<String> = lines.map(str::to_owned).collect();
    match keys.is_empty() {
        true => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{}: has no keys, expected one a line", path.display()),
        )),
        false => Ok(keys),
    }
}
