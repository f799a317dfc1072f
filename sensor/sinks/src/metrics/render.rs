//! Samples to text.

use super::families::{FAMILIES, Family, Give, Kind, Read};
use super::{Health, PREFIX, Sample};
use crate::safe::safe;
use correlate::record::Latency;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, TextEncoder};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Longest value of a label, in characters.
const MAX_VALUE: usize = 80;
/// What stands for all that is beyond the limit of a family.
const OTHER: &str = "other";

/// Writes samples as Prometheus reads them, and remembers which series are shown.
#[derive(Debug, Default)]
pub struct Renderer {
    /// By family, the series that have a place of their own.
    shown: BTreeMap<&'static str, BTreeSet<Vec<String>>>,
}

/// Type of the content that [`Renderer::render`] writes.
pub(super) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

impl Renderer {
    /// `sample` in the text format. At most [`MAX_SERIES`](super::MAX_SERIES) series, and less than a megabyte.
    pub fn render(&mut self, sample: &Sample, health: &Health) -> String {
        let families: Vec<MetricFamily> =
            FAMILIES.iter().filter_map(|family| self.family(family, sample, health)).collect();
        let mut out = Vec::new();
        // Families have names and series, and writing to memory does not fail.
        let _ = TextEncoder::new().encode(&families, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    fn family(&mut self, family: &Family, sample: &Sample, health: &Health) -> Option<MetricFamily> {
        let metrics = match family.read {
            Read::Values(read) => self.values(family, |give| read(sample, health, give)),
            Read::Times(read) => read(sample).map(|times| histogram(times, family.most)).into_iter().collect(),
        };
        if metrics.is_empty() {
            return None;
        }
        let mut out = MetricFamily::default();
        out.set_name(family.full_name());
        out.set_help(family.help.to_owned());
        out.set_field_type(match family.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        out.set_metric(metrics);
        Some(out)
    }

    fn values(&mut self, family: &Family, read: impl FnOnce(&mut Give<'_>)) -> Vec<Metric> {
        let mut series: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        let shown = self.shown.entry(family.name).or_default();
        if family.kind == Kind::Gauge {
            // What it was before binds nobody: names come and go, such as that of the rules in force.
            shown.clear();
        }
        read(&mut |values, value| {
            let mut key: Vec<String> = values.iter().map(|value| clean(value)).collect();
            if !shown.contains(&key) {
                // One place is kept for all others.
                if shown.len() + 1 < family.most || family.labels.is_empty() {
                    shown.insert(key.clone());
                } else {
                    key = vec![OTHER.to_owned(); family.labels.len()];
                }
            }
            *series.entry(key).or_default() += value;
        });
        series.into_iter().map(|(values, value)| metric(family, values, value)).collect()
    }
}

/// One metric of at most so many lines.
fn histogram(times: &Latency, most: usize) -> Metric {
    let mut histogram = Histogram::default();
    histogram.set_sample_count(times.count);
    histogram.set_sample_sum(Duration::from_micros(times.sum_us).as_secs_f64());
    // The bound for all others, the sum and the count are lines, too.
    let bounds = times.up_to_us.iter().take(most.saturating_sub(3));
    let buckets = bounds.map(|(us, n)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(Duration::from_micros(*us).as_secs_f64());
        bucket.set_cumulative_count(*n);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    let mut metric = Metric::from_label(Vec::new());
    metric.set_histogram(histogram);
    metric
}

fn metric(family: &Family, values: Vec<String>, value: f64) -> Metric {
    let pairs = family.labels.iter().zip(values).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value);
        pair
    });
    let mut metric = Metric::from_label(pairs.collect());
    match family.kind {
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Kind::Gauge | Kind::Histogram => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
    metric
}

/// A value of a label: bounded, and without what a terminal acts on. Quotes and backslashes are the encoder's.
fn clean(value: &str) -> String {
    // Spelling out makes it longer: only so much is looked at, and only so much is kept.
    let cut = |text: &str| text.char_indices().nth(MAX_VALUE).map_or(text.len(), |(at, _)| at);
    let mut safe = safe(value.get(..cut(value)).unwrap_or_default()).into_owned();
    safe.truncate(cut(&safe));
    safe
}

impl Family {
    /// The name with its prefix.
    pub fn full_name(&self) -> String {
        if self.name.starts_with("process_") { self.name.to_owned() } else { format!("{PREFIX}{}", self.name) }
    }
}
