//! What the operating system says of the process: memory, processor time, open files.
//!
//! Read from `/proc` when asked; on a system without it these metrics are absent.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// A page of memory and a tick of processor time, as Linux reports them on the machines that this runs on.
const PAGE_BYTES: i64 = 4096;
const TICKS_PER_SECOND: f64 = 100.0;

/// To be registered with `Registry::register_collector`. The names are those that Prometheus's own clients use.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            let help = "Resident memory of the process in bytes";
            let gauge = ConstGauge::new(bytes);
            gauge.encode(encoder.encode_descriptor(
                "process_resident_memory_bytes",
                help,
                None,
                gauge.metric_type(),
            )?)?;
        }
        if let Some(count) = open_files() {
            let help = "Open file descriptors of the process";
            let gauge = ConstGauge::new(count);
            gauge.encode(encoder.encode_descriptor(
                "process_open_fds",
                help,
                None,
                gauge.metric_type(),
            )?)?;
        }
        if let Some(seconds) = processor_seconds() {
            let help = "Processor time of the process in seconds";
            let counter = ConstCounter::new(seconds);
            counter.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold blanks; user and system time are fields 14 and 15.
    let (_, after_name) = text.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11).map(|field| field.parse::<u64>());
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    Some(ticks as f64 / TICKS_PER_SECOND)
}
