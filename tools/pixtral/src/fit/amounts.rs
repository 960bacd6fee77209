//! Amounts as people write them: `8GiB`, `17GB/s`.

/// Names of units and their bytes; decimal and binary ones are told apart, as storage is sold by
/// one and memory by the other.
const UNITS: [(&str, f64); 9] = [
    ("kib", 1024.0),
    ("mib", 1048576.0),
    ("gib", 1073741824.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("m", 1048576.0),
    ("g", 1073741824.0),
    ("b", 1.0),
];

/// Reads a size: a number and a unit. `8G` is 8 GiB, as for other programs.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    match amount(text) {
        Some(bytes) if bytes < u64::MAX as f64 => Ok(bytes as u64),
        _ => Err("expected a number and a unit, such as 8GiB or 512MiB".to_owned()),
    }
}

/// Reads a rate: a size a second.
pub fn parse_bandwidth(text: &str) -> Result<f64, String> {
    let text = text.trim();
    match amount(text.strip_suffix("/s").unwrap_or(text)) {
        Some(rate) if rate > 0.0 => Ok(rate),
        _ => Err("expected a rate such as 17GB/s".to_owned()),
    }
}

fn amount(text: &str) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase();
    let (name, bytes) = UNITS.iter().find(|(name, _)| text.ends_with(name))?;
    let number: f64 = text.strip_suffix(name)?.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(parse_bytes("8GiB"), Ok(8 << 30));
        assert_eq!(parse_bytes("8g"), Ok(8 << 30));
        assert_eq!(parse_bytes("1.5 GB"), Ok(1_500_000_000));
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        for bad in ["8", "GiB", "-1GiB", "1e400GiB", "eight GiB", "nanGiB", ""] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_sizes_a_second() {
        assert_eq!(parse_bandwidth("17GB/s"), Ok(17e9));
        assert_eq!(parse_bandwidth("17.5 gb"), Ok(17.5e9));
        for bad in ["0GB/s", "17", "GB/s", "17GB/h"] {
            assert!(parse_bandwidth(bad).is_err(), "{bad}");
        }
    }
}
