//! The table of a tokenizer's tokens: bytes of each rank, and rank of given bytes.
//!
//! Owns the bytes of the ordinary tokens in one pool. It knows neither special tokens nor files;
//! ranks here start at 0 and are shifted to token ids by the tokenizer.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Error, ErrorKind, Result};

/// Position of an ordinary token in the vocabulary; lower ranks merge first.
pub(super) type Rank = u32;

/// Ordinary tokens in rank order, searchable by their bytes.
pub(super) struct Vocabulary {
    /// The bytes of all tokens, one after another.
    pool: Vec<u8>,
    /// Where token `i` ends in `pool`; it starts where token `i - 1` ends.
    ends: Vec<u32>,
    /// Ranks, found by the hash of their bytes.
    by_bytes: HashTable<Rank>,
    longest: usize,
}

impl Vocabulary {
    /// An empty table with room for `n` tokens.
    pub fn with_capacity(n: usize) -> Self {
        Self {
            pool: Vec::with_capacity(n.saturating_mul(8)),
            ends: Vec::with_capacity(n),
            by_bytes: HashTable::with_capacity(n),
            longest: 0,
        }
    }

    /// Appends the token of the next rank.
    ///
    /// The first 256 tokens must be the single bytes in order (tekken's rule, and what lets any
    /// text be encoded); no token may be empty or occur twice.
    pub fn push(&mut self, token: &[u8]) -> Result<()> {
        let rank = self.ends.len();
        let invalid = |what: String| Err(Error::new(ErrorKind::InvalidTokenizer, what));
        match u8::try_from(rank) {
            Ok(byte) if token != [byte] => {
                return invalid(format!(
                    "token of rank {rank}: expected the single byte {byte}, found {token:?}"
                ));
            }
            _ if token.is_empty() => return invalid(format!("token of rank {rank} is empty")),
            _ => {}
        }
        let end = u32::try_from(self.pool.len() + token.len())
            .map_err(|_| Error::new(ErrorKind::InvalidTokenizer, "the tokens exceed 4 GiB"))?;
        let hash = xxh3_64(token);
        if let Some(first) = self.find_hashed(hash, token) {
            return invalid(format!("tokens of rank {first} and {rank} are the same"));
        }
        self.pool.extend_from_slice(token);
        self.ends.push(end);
        self.longest = self.longest.max(token.len());
        let (pool, ends) = (&self.pool, &self.ends);
        self.by_bytes
            .insert_unique(hash, rank as Rank, |&r| xxh3_64(slice(pool, ends, r)));
        Ok(())
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of the token of `rank`, if there is one.
    pub fn bytes(&self, rank: Rank) -> Option<&[u8]> {
        ((rank as usize) < self.len()).then(|| slice(&self.pool, &self.ends, rank))
    }

    /// Rank of the token with exactly these bytes.
    pub fn rank(&self, bytes: &[u8]) -> Option<Rank> {
        // The length test bounds the cost of a search for hostile input.
        if bytes.len() > self.longest {
            return None;
        }
        self.find_hashed(xxh3_64(bytes), bytes)
    }

    fn find_hashed(&self, hash: u64, bytes: &[u8]) -> Option<Rank> {
        self.by_bytes
            .find(hash, |&r| slice(&self.pool, &self.ends, r) == bytes)
            .copied()
    }
}

/// Bytes of the token of `rank`, which must exist.
fn slice<'a>(pool: &'a [u8], ends: &[u32], rank: Rank) -> &'a [u8] {
    let i = rank as usize;
    let start = if i == 0 { 0 } else { ends[i - 1] as usize };
    &pool[start..ends[i] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_only() -> Vocabulary {
        let mut v = Vocabulary::with_capacity(300);
        (0..=255u8).for_each(|b| v.push(&[b]).unwrap());
        v
    }

    #[test]
    fn finds_tokens_both_ways() {
        let mut v = bytes_only();
        v.push(b"ab").unwrap();
        assert_eq!(v.rank(b"ab"), Some(256));
        assert_eq!(v.bytes(256), Some(&b"ab"[..]));
        assert_eq!(v.rank(b"ac"), None);
        assert_eq!(v.rank(b""), None);
        assert_eq!(v.bytes(257), None);
    }

    #[test]
    fn refuses_a_vocabulary_that_could_not_encode_every_text() {
        let mut v = Vocabulary::with_capacity(1);
        assert!(v.push(b"a").is_err(), "rank 0 must be byte 0");
        let mut v = bytes_only();
        assert!(v.push(b"").is_err(), "empty");
        assert!(v.push(b"a").is_err(), "twice");
    }
}
