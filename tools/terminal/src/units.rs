//! Numbers as people read them.

use std::time::Duration;

/// `1.5 GiB`, `312.0 MiB`, `17 B`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `850 ms`, `4.2 s`, `3 min 20 s`.
pub fn duration(d: Duration) -> String {
    let seconds = d.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// A time that is only roughly known: `15 s`, `3 min`, `2 h`.
pub fn about(d: Duration) -> String {
    let seconds = d.as_secs_f64();
    if seconds < 57.5 {
        // In steps of five.
        format!("{:.0} s", (seconds / 5.0).round().max(1.0) * 5.0)
    } else if seconds < 5400.0 {
        format!("{:.0} min", (seconds / 60.0).round())
    } else {
        format!("{:.0} h", (seconds / 3600.0).round())
    }
}

/// `17`, `4,160`, `131,072`.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `n` per second of `d`, 0 when no time was taken.
pub fn rate(n: usize, d: Duration) -> f64 {
    match d.is_zero() {
        true => 0.0,
        false => n as f64 / d.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_naturally() {
        assert_eq!(bytes(17), "17 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(7_500_000_000), "7.0 GiB");
        assert_eq!(duration(Duration::from_millis(850)), "850 ms");
        assert_eq!(duration(Duration::from_millis(4210)), "4.2 s");
        assert_eq!(duration(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(rate(10, Duration::ZERO), 0.0);
        for (n, text) in [(17, "17"), (4160, "4,160"), (131_072, "131,072")] {
            assert_eq!(count(n), text);
        }
        for (seconds, text) in [
            (1, "5 s"),
            (12, "10 s"),
            (57, "55 s"),
            (58, "1 min"),
            (200, "3 min"),
            (7000, "2 h"),
        ] {
            assert_eq!(about(Duration::from_secs(seconds)), text);
        }
    }
}
