//! Hours of the day at some place of the world, by the machine's tables of time zones: is it one of them, and until when?
//! Called by the threads that look at what clients present.

use crate::policy::{Found, Hours};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// Is it one of these hours? The latest end of those that it is. A place that is none has no hours.
pub(super) fn within(hours: &[Hours], now: Timestamp) -> Found {
    let ends = hours.iter().filter_map(|h| end(h, now)).max();
    let ns = ends.and_then(|end| u64::try_from(end.as_nanosecond()).ok());
    Found { holds: ends.is_some(), ends_ns: ns }
}

/// When these hours end, if it is them.
fn end(hours: &Hours, now: Timestamp) -> Option<Timestamp> {
    let zone = match hours.place.as_str() {
        "" => TimeZone::system(),
        place => TimeZone::get(place).ok()?,
    };
    let now = now.to_zoned(zone);
    let at = |[h, m, s]: [u8; 3]| -> Option<Zoned> {
        let time = Time::new(h as i8, m as i8, s as i8, 0).ok()?;
        DateTime::from_parts(now.date(), time).to_zoned(now.time_zone().clone()).ok()
    };
    let (start, end) = (at(hours.start)?, at(hours.end)?);
    if start < now && now < end {
        return Some(end.timestamp());
    }
    // From one day into the next: it is after midnight, or before.
    if start > end && now < end {
        return Some(end.timestamp());
    }
    let tomorrow = end.checked_add(1.day()).ok()?;
    (start > end && start < now && now < tomorrow).then(|| tomorrow.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ranges: &[([u8; 3], [u8; 3])], place: &str, now: &str) -> Option<String> {
        let hours: Vec<Hours> =
            ranges.iter().map(|(start, end)| Hours { start: *start, end: *end, place: place.into() }).collect();
        let found = within(&hours, now.parse().unwrap());
        assert_eq!(found.holds, found.ends_ns.is_some());
        found.ends_ns.map(|ns| Timestamp::from_nanosecond(ns.into()).unwrap().to_string())
    }

    #[test]
    fn hours_are_the_places_own_and_may_go_past_midnight() {
        let day = [([11, 0, 0], [22, 0, 0])];
        assert_eq!(found(&day, "UTC", "2026-03-01T13:00:00Z").as_deref(), Some("2026-03-01T22:00:00Z"));
        assert_eq!(found(&day, "UTC", "2026-03-01T22:00:00Z"), None);
        assert_eq!(found(&day, "UTC", "2026-03-01T10:59:59Z"), None);
        let night = [([22, 0, 0], [6, 0, 30])];
        assert_eq!(found(&night, "UTC", "2026-03-01T05:00:00Z").as_deref(), Some("2026-03-01T06:00:30Z"));
        assert_eq!(found(&night, "UTC", "2026-03-01T23:30:00Z").as_deref(), Some("2026-03-02T06:00:30Z"));
        assert_eq!(found(&night, "UTC", "2026-03-01T12:00:00Z"), None);
        let both = [([11, 0, 0], [14, 0, 0]), ([12, 0, 0], [15, 0, 0])];
        assert_eq!(found(&both, "UTC", "2026-03-01T13:00:00Z").as_deref(), Some("2026-03-01T15:00:00Z"));
        assert_eq!(found(&day, "Nowhere/At-All", "2026-03-01T13:00:00Z"), None);
        assert_eq!(found(&[], "", "2026-03-01T13:00:00Z"), None);
    }
}
