//! Samples to places in the project's own code.

use std::backtrace::Backtrace;
use std::collections::BTreeMap;

/// Places with their share of the samples, the largest first.
pub(crate) fn by_share(samples: &[Backtrace]) -> Vec<(f64, String)> {
    let mut places: BTreeMap<String, u32> = BTreeMap::new();
    for sample in samples {
        *places.entry(place(&sample.to_string())).or_default() += 1;
    }
    let mut out: Vec<_> =
        places.into_iter().map(|(place, n)| (f64::from(n) / samples.len().max(1) as f64, place)).collect();
    out.sort_by(|a, b| b.0.total_cmp(&a.0));
    out
}

/// The innermost place of the project and the one that called it.
fn place(trace: &str) -> String {
    let mut found = Vec::new();
    let mut function = "";
    for line in trace.lines() {
        let line = line.trim();
        let Some(at) = line.strip_prefix("at ") else {
            function = line.split_once(": ").map_or(line, |(_, name)| name);
            continue;
        };
        let Some((_, file)) = at.rsplit_once("sensor/") else { continue };
        if file.contains("tests/alloc") {
            continue;
        }
        let file = file.rsplit_once(':').map_or(file, |(file, _column)| file);
        found.push(format!("{file} {}", short(function)));
        if found.len() == 2 {
            break;
        }
    }
    if found.is_empty() { "elsewhere".to_owned() } else { found.join("  <-  ") }
}

/// The last two parts of a path.
fn short(function: &str) -> &str {
    let function = function.split('<').next().filter(|f| !f.is_empty()).unwrap_or(function);
    let mut ends = function.rmatch_indices("::").map(|(at, _)| at);
    let _ = ends.next();
    ends.next().and_then(|at| function.get(at + 2..)).unwrap_or(function)
}
