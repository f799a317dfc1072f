//! Findings for people and for programs.

use super::judge::Finding;
use super::survey::Survey;
use serde::Serialize;
use sinks::safe::safe;
use std::io::{self, Write};

/// Two lines at most for each finding: what is so, and what would help.
pub(super) fn text(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    let place = |finding: &Finding| match &finding.interface {
        Some(interface) => format!("{} {}", safe(interface), finding.check),
        None => finding.check.to_owned(),
    };
    let width = findings.iter().map(|finding| place(finding).len()).max().unwrap_or_default();
    for finding in findings {
        writeln!(out, "{:<4}  {:<width$}  {}", finding.level.word(), place(finding), safe(&finding.what))?;
        if let Some(help) = &finding.help {
            writeln!(out, "{:<4}  {:<width$}  -> {}", "", "", safe(help))?;
        }
    }
    Ok(())
}

/// The document of `--json`.
#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    findings: &'a [Finding],
    survey: &'a Survey,
}

/// One object with the findings and the numbers behind them.
pub(super) fn json(findings: &[Finding], survey: &Survey, out: &mut impl Write) -> io::Result<()> {
    let document = Document { version: env!("CARGO_PKG_VERSION"), findings, survey };
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}
