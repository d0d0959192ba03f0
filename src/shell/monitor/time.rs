//! Points in time and spans as nats-server writes them in its monitoring (operations.md §16, "General"). Pure.

use crate::base::{MICROSECOND, MILLISECOND, SECOND};
pub use crate::wire::stamp::stamp;

/// A span in whole seconds, `1d2h3m4s`: units from the largest that is not zero down to seconds.
pub fn uptime(ns: u64) -> String {
    let seconds = ns / SECOND;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let years = days / 365;
    let (s, m, h, d) = (seconds % 60, minutes % 60, hours % 24, days % 365);
    match () {
        () if years > 0 => format!("{years}y{d}d{h}h{m}m{s}s"),
        () if days > 0 => format!("{d}d{h}h{m}m{s}s"),
        () if hours > 0 => format!("{h}h{m}m{s}s"),
        () if minutes > 0 => format!("{m}m{s}s"),
        () => format!("{s}s"),
    }
}

/// A round trip: whole microseconds below a millisecond, above it exact.
pub fn rtt(ns: u64) -> String {
    duration(if ns < MILLISECOND { ns - ns % MICROSECOND } else { ns })
}

/// A span as Go's `time.Duration` writes it: `278µs`, `1.05194ms`, `1m2.5s`.
fn duration(ns: u64) -> String {
    match ns {
        0 => "0s".into(),
        ns if ns < MICROSECOND => format!("{ns}ns"),
        ns if ns < MILLISECOND => format!("{}µs", decimal(ns, MICROSECOND)),
        ns if ns < SECOND => format!("{}ms", decimal(ns, MILLISECOND)),
        ns => {
            let (minutes, rest) = (ns / (60 * SECOND), decimal(ns % (60 * SECOND), SECOND));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{rest}s"),
                (0, m) => format!("{m}m{rest}s"),
                (h, m) => format!("{h}h{m}m{rest}s"),
            }
        }
    }
}

/// `ns / unit` as a decimal fraction without trailing zeros; `unit` is a power of ten.
fn decimal(ns: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", ns % unit);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return (ns / unit).to_string();
    }
    format!("{}.{fraction}", ns / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(951_782_400 * SECOND), "2000-02-29T00:00:00Z");
        assert_eq!(stamp(951_868_799 * SECOND), "2000-02-29T23:59:59Z");
        assert_eq!(stamp(1_709_164_800 * SECOND), "2024-02-29T00:00:00Z");
        assert_eq!(stamp(1_735_689_599 * SECOND + 999_999_999), "2024-12-31T23:59:59.999999999Z");
        assert_eq!(stamp(4_107_542_400 * SECOND + 78_464_130), "2100-03-01T00:00:00.07846413Z");
        assert_eq!(stamp(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn uptimes() {
        let day = 86_400;
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (123, "2m3s"),
            (3600, "1h0m0s"),
            (day + 7384, "1d2h3m4s"),
            (367 * day + 3 * 3600 + 245, "1y2d3h4m5s"),
        ] {
            assert_eq!(uptime(seconds * SECOND + 999), text);
        }
    }

    #[test]
    fn round_trips() {
        for (ns, text) in [
            (0, "0s"),
            (999, "0s"),
            (278_999, "278µs"),
            (1_051_940, "1.05194ms"),
            (20_000_000, "20ms"),
            (1_500_000_000, "1.5s"),
            (62_500_000_000, "1m2.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(rtt(ns), text);
        }
        assert_eq!(duration(7), "7ns");
        assert_eq!(duration(1_500), "1.5µs");
    }
}
