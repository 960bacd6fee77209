//! Pictures from the web.
//!
//! A request may name any URL, so each step is checked as if it were hostile: scheme and port; every
//! address that the name has, which is then the one connected to, whatever the name resolves to later;
//! the same again for each redirect; bytes and time.

use super::address::is_public;
use crate::options::FetchOptions;
use reqwest::{Client, Response, StatusCode, header::LOCATION, redirect::Policy};
use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
};
use tokio::time::timeout;
use url::{Host, Url};

/// The addresses of a name.
pub(super) type Resolved<'a> =
    Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// What turns names into addresses.
pub(super) trait Resolve: Send + Sync {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolved<'a>;
}

/// The system's resolver.
struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolved<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Fetches pictures.
pub(super) struct Fetcher {
    options: FetchOptions,
    resolver: Box<dyn Resolve>,
    /// Whether an address may be connected to.
    allowed: fn(IpAddr) -> bool,
}

/// What a step led to.
enum Step {
    Picture(Vec<u8>),
    Redirect(Url),
}

impl Fetcher {
    pub(super) fn new(options: FetchOptions) -> Self {
        Self::with(options, Box::new(System), is_public)
    }

    pub(super) fn with(
        options: FetchOptions,
        resolver: Box<dyn Resolve>,
        allowed: fn(IpAddr) -> bool,
    ) -> Self {
        Self {
            options,
            resolver,
            allowed,
        }
    }

    /// The picture at `url`, or why there is none.
    pub(super) async fn get(&self, url: Url) -> Result<Vec<u8>, String> {
        let limit = self.options.timeout;
        match timeout(limit, self.follow(url)).await {
            Ok(result) => result,
            Err(_) => Err(format!("took longer than {} s", limit.as_secs())),
        }
    }

    async fn follow(&self, mut url: Url) -> Result<Vec<u8>, String> {
        for _ in 0..=self.options.max_redirects {
            match self.step(&url).await? {
                Step::Picture(bytes) => return Ok(bytes),
                Step::Redirect(next) => url = next,
            }
        }
        let most = self.options.max_redirects;
        Err(format!("redirects more than {most} times"))
    }

    async fn step(&self, url: &Url) -> Result<Step, String> {
        let client = self.client_for(url).await?;
        let response = client.get(url.clone()).send().await.map_err(explain)?;
        let status = response.status();
        if status.is_redirection() {
            return redirect(url, &response).map(Step::Redirect);
        }
        if status != StatusCode::OK {
            return Err(format!("its server answers {status}"));
        }
        self.read(response).await.map(Step::Picture)
    }

    /// A client that can connect to nothing but the addresses that were checked.
    async fn client_for(&self, url: &Url) -> Result<Client, String> {
        let FetchOptions { http, ports, .. } = &self.options;
        if !(url.scheme() == "https" || *http && url.scheme() == "http") {
            return Err(format!("{} is not allowed, only https", url.scheme()));
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !ports.contains(&port) {
            return Err(format!("port {port} is not allowed, only {ports:?}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL with a name or password is not allowed".to_owned());
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("pixtral/", env!("CARGO_PKG_VERSION")));
        let client = match url.host() {
            Some(Host::Ipv4(address)) => {
                self.check(IpAddr::V4(address))?;
                client
            }
            Some(Host::Ipv6(address)) => {
                self.check(IpAddr::V6(address))?;
                client
            }
            Some(Host::Domain(name)) => {
                let addresses = self.resolver.resolve(name, port).await;
                let addresses = addresses.map_err(|_| format!("{name} has no address"))?;
                if addresses.is_empty() {
                    return Err(format!("{name} has no address"));
                }
                // One address of several that is not public is a trap.
                for address in &addresses {
                    self.check(address.ip())?;
                }
                client.resolve_to_addrs(name, &addresses)
            }
            None => return Err("the URL has no host".to_owned()),
        };
        client.build().map_err(explain)
    }

    /// The refusal does not say the address, which is nobody's business.
    fn check(&self, address: IpAddr) -> Result<(), String> {
        match (self.allowed)(address) {
            true => Ok(()),
            false => Err("its host is not on the public internet".to_owned()),
        }
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, String> {
        let most = self.options.max_bytes;
        let too_large = || Err(format!("is larger than {most} bytes"));
        if response.content_length().is_some_and(|n| n > most as u64) {
            return too_large();
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(explain)? {
            if bytes.len() + chunk.len() > most {
                return too_large();
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

fn redirect(url: &Url, response: &Response) -> Result<Url, String> {
    let target = response.headers().get(LOCATION);
    let target = target.and_then(|target| target.to_str().ok());
    let next = target.and_then(|target| url.join(target).ok());
    next.ok_or_else(|| "redirects to nowhere".to_owned())
}

/// What went wrong, without addresses.
fn explain(e: reqwest::Error) -> String {
    let e = e.without_url();
    match e.is_connect() {
        true => "its server cannot be reached".to_owned(),
        false => format!("could not be fetched: {e}"),
    }
}
