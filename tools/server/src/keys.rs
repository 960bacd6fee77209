//! Keys that requests must carry, and who a request is from.

use crate::{error::ApiError, state::Shared};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use subtle::{Choice, ConstantTimeEq};

/// Who asks, as far as turns are shared by it: the owner of a key, or else a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    Key(usize),
    Address(Option<IpAddr>),
}

/// The keys that are accepted, as hashes: all are of one length, and none lies in memory as it is.
#[derive(Default)]
pub(crate) struct Keys(Vec<[u8; 32]>);

impl Keys {
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| hash(key.as_bytes())).collect())
    }

    /// The index of the key `given`. Takes equally long for every key that is none.
    fn index(&self, given: &[u8]) -> Option<usize> {
        let given = hash(given);
        let mut found = None;
        for (i, key) in self.0.iter().enumerate() {
            let equal: Choice = key.ct_eq(&given);
            if bool::from(equal) {
                found = Some(i);
            }
        }
        found
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lets requests with a key pass, or all if there are no keys, and notes who they are from.
pub(crate) async fn check(
    State(state): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = match state.keys.0.is_empty() {
        true => {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
            Client::Address(peer.map(|info| info.0.ip()))
        }
        false => match bearer(&request).and_then(|key| state.keys.index(key)) {
            Some(index) => Client::Key(index),
            None => return refused(),
        },
    };
    request.extensions_mut().insert(client);
    next.run(request).await
}

fn bearer(request: &Request) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| key.trim_ascii())
}

fn refused() -> Response {
    let e = ApiError::new(
        StatusCode::UNAUTHORIZED,
        "a key is needed: send it as `Authorization: Bearer KEY`",
    );
    let mut response = e.code("invalid_api_key").into_response();
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_all_of_it() {
        let keys = Keys::new(&["alpha".to_owned(), "beta".to_owned()]);
        assert_eq!(keys.index(b"alpha"), Some(0));
        assert_eq!(keys.index(b"beta"), Some(1));
        for wrong in ["", "alph", "alphaa", "Alpha", "gamma"] {
            assert_eq!(keys.index(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
