//! Latencies as an HdrHistogram log (format V2, compressed): what the tools around HdrHistogram read. Used by [`super`]
//! for `--hdr`.

use super::{fault::Fault, report::Figures};
use hdrhistogram::serialization::{
    interval_log::{IntervalLogWriterBuilder, Tag},
    V2DeflateSerializer,
};
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// The longest latency of an interval stands in the log in milliseconds; all else is in nanoseconds.
const MAX_DIVISOR: f64 = 1e6;

/// Writes an interval for each run that has latencies; `runs` are named by tags.
pub fn write<'a>(path: &Path, what: &str, runs: impl Iterator<Item = (String, &'a Figures)>) -> Result<(), Fault> {
    let text = text(what, runs)?;
    std::fs::write(path, text).map_err(|source| Fault::File { path: path.to_owned(), source })
}

fn text<'a>(what: &str, runs: impl Iterator<Item = (String, &'a Figures)>) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!("[turnpike bench, {what}; nanoseconds]"));
    let mut runs = runs.peekable();
    builder.with_start_time(runs.peek().map_or(UNIX_EPOCH, |(_, first)| first.begun));
    builder.with_max_value_divisor(MAX_DIVISOR);
    let mut log = builder.begin_log_with(&mut out, &mut serializer)?;
    for (tag, run) in runs {
        let Some(latency) = &run.latency else {
            return Err(Fault::Asked("--hdr: this row measures no latency; give it a --rate".into()));
        };
        let start = run.begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        log.write_histogram(latency, start, run.lasted, Tag::new(&tag))
            .map_err(|e| Fault::Asked(format!("--hdr: {e}")))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::{link::Info, meter::Measured, quantiles::histogram};
    use hdrhistogram::{
        serialization::{
            interval_log::{IntervalLogIterator, LogEntry},
            Deserializer,
        },
        Histogram,
    };
    use std::time::Duration;

    #[test]
    fn a_log_is_read_back_as_it_was_written() {
        let mut latency = histogram().unwrap();
        (1..=1000).for_each(|i| latency.record(i * 777).unwrap());
        let measured = Measured {
            time: Duration::from_millis(1500),
            messages: 1000,
            lost: 0,
            server_cpu: None,
            own_cpu: Duration::ZERO,
            info: Info::default(),
            round_trips: Some(latency.clone()),
            disorder: None,
            opened: None,
        };
        let run = Figures::traffic(16, measured);
        let text = text("a test", [("one".to_owned(), &run), ("two".to_owned(), &run)].into_iter()).unwrap();
        let mut tags = Vec::new();
        for entry in IntervalLogIterator::new(&text) {
            let Ok(LogEntry::Interval(interval)) = entry else { continue };
            tags.push(interval.tag().unwrap().as_str().to_owned());
            assert_eq!(interval.duration(), Duration::from_millis(1500));
            let bytes =
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, interval.encoded_histogram());
            let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.unwrap().as_slice()).unwrap();
            assert_eq!(read, latency);
        }
        assert_eq!(tags, ["one", "two"]);
    }
}
