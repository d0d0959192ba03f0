//! Sizes and durations as people write them, and durations as nats-server shows them. Used by both configuration
//! readers, the model, and messages.

use std::time::Duration;

/// What a size's suffix multiplies by; `Some(1)` for none, `None` for no suffix of ours. `k` is 1000, `kb`, `ki` and
/// `kib` are 1024, and so on up to `e` (operations.md §2 "Integers").
pub fn unit(suffix: &str) -> Option<i64> {
    let lower = suffix.to_ascii_lowercase();
    let Some(letter) = lower.chars().next() else { return Some(1) };
    let power = "kmgtpe".find(letter)? as u32 + 1;
    match &lower[1..] {
        "" => Some(1000_i64.pow(power)),
        "b" | "i" | "ib" => Some(1024_i64.pow(power)),
        _ => None,
    }
}

/// A size such as `64MB` or `4096`, in bytes.
pub fn size(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    number.parse::<i64>().ok()?.checked_mul(unit(suffix.trim_start())?)
}

/// A duration such as `1h30m`, `1.5s`, `-2ms`, `0`, in nanoseconds; the grammar of Go's `time.ParseDuration`, whose
/// error texts operators know.
pub fn duration_ns(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(whole);
        let fraction = after.strip_prefix('.').map(|f| &f[..f.bytes().take_while(u8::is_ascii_digit).count()]);
        let after = &after[fraction.map_or(0, |f| f.len() + 1)..];
        if number.is_empty() && fraction.is_none_or(str::is_empty) {
            return Err(invalid());
        }
        let name = &after[..after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len())];
        let unit: i128 = match name {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(format!("time: unknown unit {name:?} in duration {text:?}")),
        };
        let number: i128 = if number.is_empty() { 0 } else { number.parse::<u64>().map_err(|_| invalid())?.into() };
        total += number * unit;
        // Past nine digits of the largest unit nothing of a fraction is left in nanoseconds that matters.
        let digits = fraction.map_or("", |f| &f[..f.len().min(15)]);
        if !digits.is_empty() {
            total += digits.parse::<i128>().map_err(|_| invalid())? * unit / 10_i128.pow(digits.len() as u32);
        }
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = &after[name.len()..];
    }
    i64::try_from(sign * total).map_err(|_| invalid())
}

/// A duration as Go prints it: `2m0s`, `1h0m0s`, `10s`, `1.5s`, `250ms`, `50µs`, `0s`.
pub fn show_duration(d: Duration) -> String {
    let ns = d.as_nanos();
    let fraction = |whole: u128, part: u128, width: usize| {
        let digits = format!("{part:0width$}");
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            whole.to_string()
        } else {
            format!("{whole}.{digits}")
        }
    };
    match ns {
        0 => "0s".into(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(ns / 1_000, ns % 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(ns / 1_000_000, ns % 1_000_000, 6)),
        _ => {
            let (seconds, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let tail = fraction(seconds % 60, rest, 9);
            match (hours, minutes) {
                (0, 0) => format!("{tail}s"),
                (0, _) => format!("{minutes}m{tail}s"),
                _ => format!("{hours}h{minutes}m{tail}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("1k", 1000), ("1kb", 1024), ("64MB", 64 << 20), ("1 GiB", 1 << 30)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "k", "1x", "-1", "1.5k", "9223372036854775807k", "1kbx", "1µ"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_parse_and_show_as_in_go() {
        for (text, ns, shown) in [
            ("2m", 120_000_000_000, "2m0s"),
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("100ms", 100_000_000, "100ms"),
            ("50us", 50_000, "50µs"),
            ("50µs", 50_000, "50µs"),
            ("7ns", 7, "7ns"),
            ("0", 0, "0s"),
        ] {
            assert_eq!(duration_ns(text), Ok(ns), "{text}");
            assert_eq!(show_duration(Duration::from_nanos(ns as u64)), shown);
        }
        assert_eq!(duration_ns("-1.5s"), Ok(-1_500_000_000));
        for (bad, why) in [
            ("", "time: invalid duration \"\""),
            ("x", "time: invalid duration \"x\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            (".s", "time: invalid duration \".s\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ] {
            assert_eq!(duration_ns(bad), Err(why.to_string()), "{bad}");
        }
    }
}
