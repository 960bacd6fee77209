use super::{
    Sources,
    address::is_public,
    fetch::{Fetcher, Resolve, Resolved},
};
use crate::options::{FetchOptions, ServerOptions};
use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use url::Url;

/// Answers every request with the response that `respond` makes of its first line.
fn web_server(respond: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..n]).into_owned();
            _ = stream.write_all(&respond(text.lines().next().unwrap_or_default()));
        }
    });
    address
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn moved(to: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

type Entry = (&'static str, Vec<IpAddr>);

/// Names with their addresses.
#[derive(Clone, Default)]
struct Names {
    entries: Arc<Mutex<Vec<Entry>>>,
    n_asked: Arc<AtomicUsize>,
}

impl Names {
    fn with(self, name: &'static str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        self.entries.lock().unwrap().push((name, addresses));
        self
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolved<'a> {
        self.n_asked.fetch_add(1, Ordering::Relaxed);
        let entries = self.entries.lock().unwrap();
        let found = entries.iter().find(|(name, _)| *name == host);
        let addresses = found.map(|(_, addresses)| {
            addresses
                .iter()
                .map(|&ip| SocketAddr::new(ip, port))
                .collect()
        });
        Box::pin(async move { addresses.ok_or_else(|| std::io::ErrorKind::NotFound.into()) })
    }
}

/// A fetcher to which 127.0.0.1 is the public internet.
fn fetcher(names: Names, ports: &[u16]) -> Fetcher {
    within(names, ports, Duration::from_secs(5))
}

/// The same with a limit of time.
fn within(names: Names, ports: &[u16], timeout: Duration) -> Fetcher {
    let options = FetchOptions {
        http: true,
        ports: ports.to_vec(),
        max_bytes: 1000,
        timeout,
        max_redirects: 2,
    };
    let allowed = |ip: IpAddr| ip == IpAddr::from([127, 0, 0, 1]) || is_public(ip);
    Fetcher::with(options, Box::new(names), allowed)
}

fn get(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(fetcher.get(Url::parse(url).unwrap()))
}

#[track_caller]
fn assert_refused(fetcher: &Fetcher, url: &str, why: &str) {
    let refusal = get(fetcher, url).expect_err(url);
    assert!(refusal.contains(why), "{url}: {refusal}");
}

#[test]
fn a_picture_is_fetched_from_the_address_that_was_checked() {
    let port = web_server(|_| ok(b"picture")).port();
    let names = Names::default().with("pictures.test", &["127.0.0.1"]);
    let fetcher = fetcher(names.clone(), &[port]);
    let url = format!("http://pictures.test:{port}/a.png");
    assert_eq!(get(&fetcher, &url).unwrap(), b"picture");
    // A second look-up could have another answer.
    assert_eq!(names.n_asked.load(Ordering::Relaxed), 1);
    assert_refused(
        &fetcher,
        &format!("http://other.test:{port}/"),
        "no address",
    );
}

#[test]
fn addresses_within_are_not_connected_to() {
    let port = web_server(|_| ok(b"secret")).port();
    let names = Names::default()
        .with("inside.test", &["10.0.0.1"])
        .with("mixed.test", &["127.0.0.1", "192.168.0.1"])
        .with("metadata.test", &["169.254.169.254"]);
    let fetcher = fetcher(names, &[port]);
    for host in [
        "inside.test",
        "mixed.test",
        "metadata.test",
        "10.0.0.1",
        "0x7f000002",
        "127.2",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
    ] {
        let url = format!("http://{host}:{port}/");
        assert_refused(&fetcher, &url, "not on the public internet");
    }
}

#[test]
fn schemes_ports_and_passwords_are_checked() {
    let names = Names::default().with("pictures.test", &["127.0.0.1"]);
    let only_https = FetchOptions::default();
    let strict = Fetcher::with(only_https, Box::new(names.clone()), |_| true);
    assert_refused(&strict, "http://pictures.test/", "only https");
    assert_refused(&strict, "https://pictures.test:22/", "port 22");
    assert_refused(&strict, "https://a:b@pictures.test/", "password");
    assert_refused(&strict, "ftp://pictures.test/", "not allowed");
    assert_eq!(names.n_asked.load(Ordering::Relaxed), 0);
}

#[test]
fn redirects_are_checked_like_the_first_url() {
    let port = web_server(|line| match line.split(' ').nth(1) {
        Some("/ok") => moved("/picture"),
        Some("/picture") => ok(b"picture"),
        Some("/inside") => moved("http://inside.test/"),
        Some("/port") => moved("http://pictures.test:1/"),
        Some("/file") => moved("file:///etc/passwd"),
        _ => moved("/loop"),
    })
    .port();
    let names = Names::default()
        .with("pictures.test", &["127.0.0.1"])
        .with("inside.test", &["10.0.0.1"]);
    let fetcher = fetcher(names, &[port, 80]);
    let url = |path: &str| format!("http://pictures.test:{port}/{path}");
    assert_eq!(get(&fetcher, &url("ok")).unwrap(), b"picture");
    assert_refused(&fetcher, &url("inside"), "not on the public internet");
    assert_refused(&fetcher, &url("port"), "port 1");
    assert_refused(&fetcher, &url("file"), "not allowed");
    assert_refused(&fetcher, &url("loop"), "more than 2 times");
}

#[test]
fn what_is_too_large_or_too_slow_is_given_up() {
    let names = Names::default().with("pictures.test", &["127.0.0.1"]);
    let port = web_server(|line| match line.contains("declared") {
        true => ok(&[0; 1001]),
        // Without a length, so it is noticed while it comes.
        false => [
            &b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..],
            &[0; 5000],
        ]
        .concat(),
    })
    .port();
    let fetcher = within(names.clone(), &[port], Duration::from_secs(5));
    for path in ["declared", "endless"] {
        let url = format!("http://pictures.test:{port}/{path}");
        assert_refused(&fetcher, &url, "larger than 1000 bytes");
    }
    // Accepts a connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let fetcher = within(names, &[port], Duration::from_millis(200));
    assert_refused(
        &fetcher,
        &format!("http://pictures.test:{port}/"),
        "longer than",
    );
}

#[test]
fn files_come_from_the_allowed_folder_only() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = dir.path().join("pictures");
    fs::create_dir_all(allowed.join("sub")).unwrap();
    fs::write(allowed.join("sub/a.png"), b"a").unwrap();
    fs::write(dir.path().join("secret"), b"s").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(dir.path().join("secret"), allowed.join("link")).unwrap();
    let sources = Sources::new(&ServerOptions {
        pictures_folder: Some(allowed.clone()),
        ..ServerOptions::default()
    })
    .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let load = |name: &str| runtime.block_on(sources.load("url", name));
    let absolute = allowed.join("sub/a.png").display().to_string();
    for name in ["sub/a.png", &absolute, &format!("file://{absolute}")] {
        assert_eq!(load(name).unwrap(), b"a", "{name}");
    }
    let secret = dir.path().join("secret").display().to_string();
    for name in [
        "../secret",
        "sub/../../secret",
        "link",
        "sub",
        "missing",
        "",
        "\0",
        &secret,
        &format!("file://{secret}"),
        "file:///%2e%2e/secret",
        "ftp://a/b",
    ] {
        let e = load(name).expect_err(name);
        assert_eq!(e.param.as_deref(), Some("url"));
    }
}

#[test]
fn data_urls_hold_pictures_and_nothing_else_is_reached_by_default() {
    let sources = Sources::new(&ServerOptions::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let load = |name: &str| runtime.block_on(sources.load("url", name));
    assert_eq!(load("data:image/png;base64,YWJj").unwrap(), b"abc");
    assert_eq!(load("DATA:;base64,YWI").unwrap(), b"ab");
    for (name, why) in [
        ("data:image/png;base64,@@@", "damaged"),
        ("data:image/png;base64,", "empty"),
        ("data:nothing", "no data URL"),
        ("a.png", "--allow-images-in"),
        ("file:///a.png", "--allow-images-in"),
        ("https://example.org/a.png", "--fetch-images"),
    ] {
        let e = load(name).expect_err(name);
        assert!(e.message.contains(why), "{name}: {e:?}");
        assert_eq!(e.status.as_u16(), 400);
    }
}
