//! Pages for people. Everything that is not from this file is escaped, and a page loads nothing.

use super::refusal;
use crate::inspect::Ruling;
use http::StatusCode;

/// Style of all pages.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:10vh auto;padding:0 1em;\
                     color:#222;background:#fff}h1{font-size:1.4em}small{color:#666}";
/// What a page may do: nothing but look like [`STYLE`], which is named by its hash.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'sha256-9pZzpT1p4h13SAugXQSEMzREKdG08s5pSlLuwKzbzcY='; base-uri 'none'; form-action 'none'; \
                                 frame-ancestors 'none'";

/// The page in place of one that was refused.
pub(super) fn refusal(ruling: &Ruling) -> String {
    let place = refusal::location(ruling).filter(|url| is_web(url)).map(|url| {
        let url = escaped(url);
        format!("<p>Use this instead: <a href=\"{url}\" rel=\"noreferrer\">{url}</a></p>\n")
    });
    let access = refusal::access(ruling).filter(|url| is_web(url)).map(|url| {
        let url = escaped(url);
        format!("<p>Ask for access: <a href=\"{url}\" rel=\"noreferrer\">{url}</a></p>\n")
    });
    let body = format!(
        "<p>{}</p>\n{}{}<p><small>Host: {}<br>Policy: {}<br>Reason: {}</small></p>\n",
        escaped(&refusal::text(ruling)),
        place.unwrap_or_default(),
        access.unwrap_or_default(),
        escaped(refusal::host(ruling)),
        escaped(ruling.decision.policy.as_str()),
        escaped(refusal::reason(ruling)),
    );
    page("Blocked", &body)
}

/// The page in place of one that could not be fetched.
pub(super) fn failure(status: StatusCode, text: &str) -> String {
    let body = format!("<p>{}</p>\n<p><small>Status: {}</small></p>\n", escaped(text), status.as_u16());
    page("This page cannot be reached through the proxy", &body)
}

/// A page with this title and body, which are HTML.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n{body}<p><small>{}</small></p>\n</body>\n</html>\n",
        super::NAME
    )
}

/// Whether people may be given it to click on.
fn is_web(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// `text` as HTML text or attribute value.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '`' => html.push_str("&#96;"),
            c if c.is_control() => html.push(' '),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    #[test]
    fn the_policy_names_the_style_by_its_hash() {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }

    #[test]
    fn only_web_addresses_are_given_to_click_on() {
        for (url, web) in [
            ("https://mcp.example/", true),
            ("HTTP://mcp.example/", true),
            ("javascript:alert(1)", false),
            ("javascript://x/%0aalert(1)", false),
            ("data:text/html,x", false),
            ("/mcp", false),
        ] {
            assert_eq!(is_web(url), web, "{url}");
        }
    }
}
